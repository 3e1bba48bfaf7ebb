/* Duplicates by the speed layer's rule, for one partition. Let T(o) be the greatest record timestamp up to
 * and including offset o, and o' the last valid record before o with the same id (counted, or itself a
 * duplicate). A valid record at o is a duplicate if there is such an o', o - o' <= max_records and T(o) -
 * (timestamp of o') <= max_age_ms. The age is measured from the older record's own timestamp, not from T
 * there, so that a verdict depends on T(o) and on nothing else but the log within the horizon: whoever knows
 * T(o) and reads that far back gives the same one. Pure; one thread.
 *
 * Keeps what it has seen in offset order, each with the earlier one of the same id, so that it can go back to
 * an offset. */
#ifndef COMMON_KERNEL_HORIZON_H
#define COMMON_KERNEL_HORIZON_H

#include "common/kernel/datetime.h"

struct event_id_hash {
	uint64_t low, high;
};

/* XXH3, 128 bits: for 10^9 ids the chance that any two share a hash is 1.5e-21. */
struct event_id_hash event_id_hash(struct text event_id);

/* How many valid records behind the horizon are kept, so that going back that far (to the last flush) stays
 * exact. With a horizon of 1,000,000 records they fit into 2^20 places, 64 MiB. */
enum { HORIZON_SLACK = 48000 };

struct horizon {
	int64_t max_records, max_age_ms;
	int64_t slack; /* HORIZON_SLACK; tests may lower it before the first record */
	int64_t from; /* complete for all offsets in [from, next); -1: nothing yet */
	int64_t next;
	int64_t latest_record_ms; /* T at next - 1, or DATETIME_NONE */
	struct horizon_ring *ring;
};

void horizon_init(struct horizon *horizon, int64_t max_records, int64_t max_age_ms);
void horizon_release(struct horizon *horizon);

/* Forget everything; the next record to come is `from` or a later one. latest_record_ms: T below the first
 * offset whose verdict matters (or DATETIME_NONE: there is nothing below it). */
void horizon_start(struct horizon *horizon, int64_t from, int64_t latest_record_ms);

/* A valid record, in offset order (gaps are fine): true when it is a duplicate. */
bool horizon_see(struct horizon *horizon, int64_t offset, int64_t record_ms, struct event_id_hash id);
/* A rejected record: only moves T. */
void horizon_pass(struct horizon *horizon, int64_t offset, int64_t record_ms);

/* No record stands between the last one and `offset`, which may be anywhere from next on. */
void horizon_skip(struct horizon *horizon, int64_t offset);

/* Go back so that `offset` is the next to come; exact. latest_record_ms: T below `offset`. False (nothing
 * changed) when `offset` is not in [from, next], or so far back that what its verdicts need has been
 * forgotten: then the caller reads the horizon again. Whether what lies before `from` is needed, only the
 * caller of horizon_start() knows. */
MUST_USE bool horizon_rewind(struct horizon *horizon, int64_t offset, int64_t latest_record_ms);

/* Where reading must begin so that verdicts from `offset` on are right: the later of offset - max_records and
 * the first offset whose record timestamp is >= this time (DATETIME_NONE: no bound by time, for T is not
 * known). */
int64_t horizon_oldest_record_ms(const struct horizon *horizon, int64_t latest_record_ms);

size_t horizon_bytes(const struct horizon *horizon);

#endif
