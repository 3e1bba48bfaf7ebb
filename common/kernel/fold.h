/* One partition by the speed layer's own, deterministic rules: duplicates within the horizon, late events,
 * counters. speed folds what it reads, batch folds the same offsets to know what speed must have said. Pure;
 * one thread. */
#ifndef COMMON_KERNEL_FOLD_H
#define COMMON_KERNEL_FOLD_H

#include "common/kernel/horizon.h"
#include "common/kernel/plant.h"
#include "common/kernel/tally.h"

/* Raised by every change that can change a number. The build with a bug is one of before. */
#define KERNEL_VERSION (PLANTED(PLANT_REFUNDS) ? 0 : 1)

/* Every setting that can change a number. */
struct fold_rules {
	const struct calendar *calendar; /* borrowed */
	int64_t horizon_records, horizon_ms;
	int64_t grace_ms; /* a bucket is final once event time is past its end by this */
	int64_t max_skew_ms; /* an event further ahead of its record's timestamp does not move event time */
	bool exclude_late; /* speed leaves late events out; batch never does */
	bool customers; /* orders are also kept by customer (struct customer_minute) */
};

enum { FOLD_VERSION_MAX = 160 };
/* "k1;tz=Europe/London;horizon=1000000/86400000;grace=1800000;skew=600000;late=count;customers=yes": kernel
 * version and rules, one text per meaning. */
void fold_version(const struct fold_rules *rules, char buf[FOLD_VERSION_MAX]);
/* The kernel version in such a text; -1 when it is none. */
int fold_version_kernel(const char *version);

/* What a fold needs to go on from an offset. */
struct fold_state {
	/* greatest event time of the valid events below, skewed ones left out; or DATETIME_NONE */
	int64_t latest_event_ms;
	int64_t latest_record_ms; /* greatest record timestamp below; or DATETIME_NONE */
};
#define FOLD_STATE_NONE ((struct fold_state){ DATETIME_NONE, DATETIME_NONE })

enum verdict { VERDICT_COUNTED, VERDICT_DUPLICATE, VERDICT_REJECTED, VERDICT_EXCLUDED };

struct fold {
	const struct fold_rules *rules; /* borrowed */
	struct fold_state state;
	struct horizon horizon;
	/* what the horizon was last read for: verdicts below this offset would not be exact */
	int64_t exact_from;
};

void fold_init(struct fold *fold, const struct fold_rules *rules);
void fold_release(struct fold *fold);

/* Goes on at `offset` with `state`. True when verdicts will be exact from there, because the horizon still
 * reaches back; false when the caller must first read the horizon: horizon_start() with
 * state->latest_record_ms, then fold_warm() from horizon_oldest_record_ms() on, up to `offset`; before the
 * first fold_record(). */
MUST_USE bool fold_resume(struct fold *fold, int64_t offset, const struct fold_state *state);
/* A record below the start: only its id and timestamp matter. event is NULL when it was rejected. */
void fold_warm(struct fold *fold, int64_t offset, int64_t record_ms, const struct event *event);

/* No record stands between the last one and `offset` (transaction markers, compacted away). Optional before
 * the next record, but needed when `offset` is where a flush ends: state and horizon then stand there. */
void fold_skip(struct fold *fold, int64_t offset);

/* The next record. event is NULL when it was rejected for `reject`. Moves the state and counts in *counters.
 *
 * A counted event is late when its bucket's end + grace is not after the greatest event time seen before it
 * in its partition; *ret_late_ms then says by how much that is ahead of the event's own time, else 0. By
 * rules->exclude_late the verdict on a late event is VERDICT_EXCLUDED. */
enum verdict fold_record(struct fold *fold, int64_t offset, int64_t record_ms, const struct event *event,
	enum event_reject reject, struct counters *counters, int64_t *ret_late_ms);

#endif
