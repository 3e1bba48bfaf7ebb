/* Which event of an id counts, over all partitions and all history: in a partition the one with the lowest
 * offset; between partitions the one whose partition's first has the earlier record timestamp, then the lower
 * partition. Bins are independent, so any number of threads work side by side, each with a struct winners of
 * its own. */
#ifndef BATCH_WINNERS_H
#define BATCH_WINNERS_H

#include "batch/bins.h"
#include "batch/customers.h"
#include "batch/facts.h"
#include "batch/ledger.h"
#include "common/kernel/tally.h"

/* What one reader has left: facts and the texts that they speak of. Immutable by now. */
struct winners_source {
	const struct bins_writer *bins;
	const struct dictionary *texts;
};

struct winners {
	const struct calendar *calendar; /* borrowed */
	struct table ids; /* struct winner_entry, of one bin */
	struct table seen; /* (id, partition) that lost against another partition; rarely used */
	struct bins_cursor cursor;
	struct tally tally; /* out: what counts; tally.counters: counted, duplicate, late */
	struct customers *customers; /* out, borrowed; NULL: not wanted */
	struct ledger ledger; /* out: LEDGER_BASE_AGAIN, BEYOND_HORIZON, OTHER_PARTITION, LATE_EXCLUDED */
	struct event event; /* of the fact at hand */
	uint32_t *skus; /* owned; of its lines, numbers in the source's texts */
};

/* customers_from_ms: as in struct tally. */
void winners_init(struct winners *winners, const struct calendar *calendar, int64_t customers_from_ms,
	struct customers *customers);
void winners_release(struct winners *winners);

/* Memory that the search takes per id of a bin, about. */
enum { WINNERS_BYTES_PER_ID = 96 };

/* Adds one bin of all sources to tally and ledger. Facts of a partition must all be in one source, in order
 * of offset. */
MUST_USE int winners_bin(struct winners *winners, const struct winners_source *sources, int n_sources,
	unsigned bin, struct err *err);

/* Adds more's results to sum's. */
MUST_USE int winners_merge(struct winners *sum, const struct winners *more, struct err *err);

#endif
