/* Which batch run and which generations make one answer, so that every event below each partition's coverage
 * counts exactly once (docs/architecture.md, hand-over). Pure: no I/O, no clock. One thread. */
#ifndef SERVING_MERGE_H
#define SERVING_MERGE_H

#include "common/redis_handover.h"
#include "serving/view.h"

enum merge_join {
	MERGE_JOINED, /* generations from the run on join its cut */
	MERGE_AHEAD, /* the batch is ahead of the speed layer: the run alone is exact up to its cut */
	MERGE_APART, /* they do not join: the run alone, up to its cut, until the partition is mended */
	MERGE_ABSENT, /* the speed layer has no state of the partition: likewise */
};

struct merge_part {
	enum merge_join join;
	size_t first_gen; /* of those used; only when joined */
	int64_t cut; /* the run covers offsets below it */
	int64_t coverage; /* all events below it are in the numbers */
	int64_t speed_next; /* next offset of the open generation; -1: no state */
	int64_t latest_event_ms; /* below coverage; or DATETIME_NONE */
	struct speed_beat beat;
};

struct merge_range {
	int partition;
	int64_t from, to; /* [from, to); to -1: not known */
};

/* Of a picture of the kappa view: the version it is of. */
struct picture_kappa {
	int64_t id; /* 0: it is none of the kappa view */
	int64_t promotion, promoted_ms;
	bool excludes_late;
	char version[65];
};

/* One exact sum, without anything that depends on the time of asking. Immutable. */
struct picture {
	unsigned refs;
	struct batch_view *batch; /* one reference; in the kappa view, one of which nothing is published */
	struct picture_kappa kappa;
	bool speed; /* false: made of the batch alone, because the speed view cannot be asked */
	bool whole; /* every partition is joined, or the batch is ahead */
	int64_t made_ms; /* when the speed view was read (monotonic) */
	int n_parts;
	struct merge_part *parts; /* owned */
	struct table days; /* provisional: struct view_day */
	struct table duplicates; /* struct view_duplicates */
	struct table late; /* provisional, those that are excluded too: struct late_day */
	struct table excluded; /* late events that are not in `days`: struct late_day */
	int64_t rejected;
	size_t n_lost;
	struct merge_range *lost; /* owned */
};

/* views: at least one, newest publication first. Takes the newest that joins in every partition; if none
 * does, the newest. use_speed  false: the batch alone NULL       a sum does not fit 64 bits The caller owns
 * one reference. */
struct picture *merge_picture(struct batch_view *const *views, size_t n_views,
	const struct speed_partition *partitions, int n_partitions, bool use_speed, int64_t made_ms);
/* Does a partition's state, read later than the picture was made, still join the picture's run, and cover all
 * that the picture does? */
bool picture_joins(const struct picture *picture, int partition, const struct redis_state *state);
struct picture *picture_ref(struct picture *picture);
void picture_unref(struct picture *picture); /* NULL is fine */

/* What was shown so far. Zeroed at start. */
struct merge_memory {
	struct picture *shown; /* one reference */
	int n_known;
	int64_t *known; /* greatest coverage ever shown, by partition; owned */
};

/* Decides what to show now: the candidate, or still the last one while the candidate covers less than that,
 * up to max_age_ms after that one was made. Only a rollback, and a speed view that cannot be asked, lower
 * coverage at once. Takes the caller's reference to candidate; the result is memory->shown. */
struct picture *merge_show(
	struct merge_memory *memory, struct picture *candidate, int64_t now_ms, int64_t max_age_ms);
void merge_memory_release(struct merge_memory *memory);

#endif
