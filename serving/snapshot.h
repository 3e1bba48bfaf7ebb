/* What all answers of a moment are made of: a picture, and what the time of asking adds to it. Immutable but
 * for the answers that it remembers. Pure; one thread. */
#ifndef SERVING_SNAPSHOT_H
#define SERVING_SNAPSHOT_H

#include "serving/body.h"
#include "serving/merge.h"
#include "serving/question.h"

/* The closed list of docs/api.md, in the order of the answers. */
#define DEGRADED_CODES(X) \
	X(SPEED_SILENT, "speed_silent") \
	X(SPEED_STALE, "speed_stale") \
	X(SPEED_UNAVAILABLE, "speed_unavailable") \
	X(BATCH_UNAVAILABLE, "batch_unavailable") \
	X(REBUILDING, "rebuilding") \
	X(LOST_EVENTS, "lost_events") \
	X(TRUNCATED_HISTORY, "truncated_history")

enum degraded {
#define X(name, code) DEGRADED_##name,
	DEGRADED_CODES(X)
#undef X
		DEGRADED_N,
};

const char *degraded_code(enum degraded degraded);

enum {
	SNAPSHOT_STALE_MS = 1500, /* a speed view older than this is called stale */
	SNAPSHOT_SILENT_MS = 5000, /* a heartbeat older than this is called silent */
	SNAPSHOT_ANSWERS = 32,
};

/* What rendering needs besides; one per process, outlives all snapshots. */
struct snapshot_rules {
	const struct calendar *calendar;
	int64_t grace_ms, idle_ms;
};

struct snapshot_answer {
	struct question question;
	struct body *body;
};

struct snapshot {
	unsigned refs;
	const struct snapshot_rules *rules; /* borrowed */
	struct picture *picture; /* one reference */
	int64_t as_of_ms; /* wall clock */
	int32_t today;
	int64_t watermark_ms; /* or DATETIME_NONE */
	int64_t lag_events, lag_ms; /* -1: not known */
	int64_t held_events, held_ms; /* by open transactions, and for how long; -1: not known */
	int64_t stale_ms; /* age of the speed view */
	unsigned degraded; /* bit set of 1 << enum degraded */
	size_t n_missing;
	struct merge_range *missing; /* owned */
	struct snapshot_answer answers[SNAPSHOT_ANSWERS];
};

struct snapshot_input {
	struct picture *picture;
	int64_t wall_ms, now_ms; /* wall and monotonic clock */
	int n_known;
	const int64_t *known; /* greatest coverage shown before, by partition */
	bool batch_away; /* Postgres cannot be asked */
};

/* The caller owns one reference. */
struct snapshot *snapshot_new(const struct snapshot_rules *rules, const struct snapshot_input *input);
/* The same moment, as if the speed view could not be asked. The caller owns one reference. */
struct snapshot *snapshot_without_speed(const struct snapshot *snapshot);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is fine */

/* Of one partition: the records that wait to be counted, what an open transaction holds back behind them (-1:
 * not known), and whether it is left out of the watermark. */
int64_t snapshot_part_lag(const struct snapshot *snapshot, int partition);
int64_t snapshot_part_held(const struct snapshot *snapshot, int partition);
bool snapshot_part_idle(const struct snapshot *snapshot, int partition);

/* The answer to a question of route DAY, LATE or RANGE, rendered at most once per snapshot; the caller owns
 * one reference. NULL with a problem when it would be too large, or a sum does not fit. */
struct body *snapshot_answer(
	struct snapshot *snapshot, const struct question *question, struct problem *problem);

#endif
