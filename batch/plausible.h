/* Is a run's result one that may be published unseen? It is compared with the published run, like with like:
 * what both make of the same part of the log. Pure. docs/batch.md has the rules and their reasons. */
#ifndef BATCH_PLAUSIBLE_H
#define BATCH_PLAUSIBLE_H

#include "batch/corrections.h"
#include "common/kernel/tally.h"

enum {
	PLAUSIBLE_WHY_MAX = 400,
	PLAUSIBLE_EVENTS_MIN = 100, /* a day with fewer is small: one order may be a large part of it */
};

struct plausible {
	const struct ledger *ledger; /* borrowed, as all here; BASE_STORED with the number of events */
	const struct table *corrections; /* struct correction */
	const struct counters *counters; /* of the new run */
	int64_t base_records, base_rejected; /* of the published run */
	int64_t max_change; /* percent */
	bool shorter; /* the log has lost some of it, and that is allowed: history may shrink */
};

/* False: *why says in a sentence what is wrong, the first of several things. */
bool plausible_check(const struct plausible *plausible, char why[PLAUSIBLE_WHY_MAX]);

#endif
