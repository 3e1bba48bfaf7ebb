/* What a run has computed: from the log to sums, with the threads that do it, and the control totals. */
#ifndef BATCH_RESULT_H
#define BATCH_RESULT_H

#include "batch/history.h"
#include "batch/names.h"
#include "batch/progress.h"
#include "batch/replay.h"
#include "batch/winners.h"

enum { RESULT_WRONG_MAX = 200 };

struct day_key {
	int32_t day, currency;
};

struct day_sum {
	struct day_key key;
	struct revenue revenue;
};

struct result {
	struct winners sums; /* .tally and .ledger of all bins */
	struct table days; /* struct day_sum */
	struct customers *customers; /* owned array, one per searching thread; NULL when they are not kept */
	int n_customers;
	int64_t n_of_customers; /* counted events that have a customer */
	struct names names; /* by number in sums.tally.texts */
	struct counters known; /* of a replay: records below the cut of the run that it goes on from; counted:
				  the valid ones of them, also duplicates */
	struct counters counters; /* records, counted, duplicate, late, rejected: over all partitions */
	int64_t customers_from_ms; /* orders are kept by customer from this event time on; TALLY_NO_CUSTOMERS
				    */
	int64_t read_ms, fold_ms, spilled_bytes;
	int64_t ids_bytes; /* of kept ids that were read */
	char wrong[RESULT_WRONG_MAX]; /* which control totals do not agree; "": none */
};

/* Reads [first, cut) of all parts and adds up.
 * - replay: NULL, or everything but the names is of what lies behind the parts' known ranges alone; when it
 *   fails and replay->ids_wrong is set, it can be done again by replay_without_ids()
 * - explain: facts for the corrections are wanted too
 * - now_ms: wall clock at the cut: the orders of TALLY_CUSTOMERS_MS before it are kept by customer, if the
 * rules want that
 * - ledger: gets LEDGER_EXPECTED, BASE_AGAIN, BEYOND_HORIZON, OTHER_PARTITION, LATE_EXCLUDED and AFTER
 * - errors: those of reading and spilling. That the control totals do not agree is none: see wrong */
MUST_USE int result_compute(struct result *ret_result, const struct config *config, struct history *history,
	bool explain, struct replay *replay, int64_t now_ms, struct ledger *ledger, struct progress *progress,
	struct err *err);
void result_release(struct result *result);

/* Control totals: sums that were added up apart. False: wrong says which do not agree. */
bool result_agrees(const struct result *result, char wrong[RESULT_WRONG_MAX]);

#endif
