/* From a ledger to corrections: why the answer of a day is another one than before, in causes that add up.
 * Pure. */
#ifndef BATCH_CORRECTIONS_H
#define BATCH_CORRECTIONS_H

#include "batch/ledger.h"

#define CORRECTION_CAUSES(X) \
	X(DUPLICATE_BEYOND_HORIZON, "duplicate_beyond_horizon") \
	X(DUPLICATE_OTHER_PARTITION, "duplicate_other_partition") \
	X(LATE_EXCLUDED, "late_excluded") \
	X(RECOMPUTED, "recomputed") \
	X(UNEXPLAINED, "unexplained")

enum correction_cause {
#define X(name, code) CORRECTION_##name,
	CORRECTION_CAUSES(X)
#undef X
		CORRECTION_N_CAUSES
};

const char *correction_cause_code(enum correction_cause cause);

/* What is known of speed, per partition. */
struct correction_speed {
	bool known; /* LEDGER_SAID holds what it said; else it is taken to have said what its rules give */
	bool other_fold; /* by another fold version: a difference is `recomputed` and no alarm */
};

struct correction {
	int32_t day, currency; /* the key */
	int64_t before_e4, after_e4;
	int64_t net_e4[CORRECTION_N_CAUSES];
	int64_t events[CORRECTION_N_CAUSES]; /* 0 where they cannot be counted */
};

/* Fills *ret_corrections, a table of struct correction that the caller releases, with the days that have a
 * difference or a cause. speed: n_partitions of them. ERR_INTERNAL when the causes of a day do not add up: a
 * bug, nothing may be published. */
MUST_USE int corrections_make(const struct ledger *ledger, const struct correction_speed *speed,
	int n_partitions, struct table *ret_corrections, struct err *err);

#endif
