/* A reader: one thread that reads some of the partitions, and turns records into facts, names and counters.
 */
#ifndef BATCH_READER_H
#define BATCH_READER_H

#include <pthread.h>
#include <stdatomic.h>

#include "batch/bins.h"
#include "batch/facts.h"
#include "batch/ids.h"
#include "batch/ledger.h"
#include "batch/names.h"
#include "batch/part.h"
#include "batch/replay.h"
#include "common/config.h"

struct reader {
	const struct config *config; /* borrowed, like the plan and the parts */
	struct part **parts; /* owned array */
	struct reader_fold *folds; /* one per part */
	int n_parts;
	struct replay *replay; /* borrowed, or NULL; its ids_wrong is set here */
	bool keep_ids; /* set before it begins; cleared when they cannot be kept */
	struct ids ids;
	bool explain; /* speed's rules are applied too, for the corrections */
	struct event_parser *parser;
	struct dictionary *texts; /* skus */
	uint32_t *skus; /* owned; of the event at hand */
	pthread_t thread;
	bool started;

	/* results, for others when the thread has ended */
	struct bins_writer bins;
	struct names names;
	struct counters counters; /* records and rejected */
	struct counters known; /* below part->known: records, and as counted the valid ones */
	struct ledger ledger; /* LEDGER_EXPECTED */
	int failed;
	struct err err;

	_Atomic int64_t n_records; /* so far; for progress */
	_Atomic bool ended;
	_Atomic bool give_up; /* set from outside: another reader has failed */
};

void reader_init(struct reader *reader, const struct config *config, const struct bins_plan *plan,
	bool explain, struct replay *replay);
void reader_release(struct reader *reader);
/* Before reader_start(). */
void reader_add(struct reader *reader, struct part *part);

void reader_start(struct reader *reader);
/* Waits for the end of the thread; 0, or -1 with its error. */
MUST_USE int reader_join(struct reader *reader, struct err *err);

/* What the thread does around its source: begin, each record of each partition in order of offset, finish. */
void reader_begin(struct reader *reader);
int reader_record(void *reader, const struct record *record, struct err *err); /* a record_fn */
void reader_finish(
	struct reader *reader); /* sets the parts' states and ids, and frees what the search does not need */

#endif
