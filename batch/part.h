/* One partition of the log in a run: what is to be read, and what reading has found. */
#ifndef BATCH_PART_H
#define BATCH_PART_H

#include "batch/id_block.h"
#include "common/archive.h"
#include "common/kernel/fold.h"
#include "common/tail.h"

struct part {
	int32_t partition;
	int64_t first; /* the lowest offset that there still is, in the archive or in Kafka; of a replay by
			  kept ids, that of the older run */
	const struct archive_part *archive; /* borrowed; NULL: none */
	int64_t kafka_first; /* the lowest offset that Kafka still has; -1: Kafka is not read */
	int64_t end_at_start; /* the log's end when the run started, or the archive's without Kafka */
	int64_t base_cut; /* the base run covers what lies below; `first` when it has no such partition */
	struct tail base_tail; /* of the log at base_cut, as the base run has found it */
	int64_t known; /* of a replay: what lies below is taken over; else 0 */
	int64_t cut; /* the run covers [first, cut) */
	int64_t speed_next; /* of a run without Kafka: speed's next offset; 0: not known */
	bool sealed; /* the cut is where speed's generation ends */
	bool speed_known; /* what speed said about [base_cut, cut) is in the ledger */
	bool speed_other_fold; /* ... by another fold version, or the base run was */

	/* found by reading; one reader's, until it has ended */
	int64_t next; /* everything below is read */
	struct fold_state state; /* at `next` */
	struct tail tail;
	bool ids_kept; /* the ids below the cut are in Postgres ... */
	char ids[ID_HASH_MAX]; /* ... up to this block; "": there is none */
};

/* One record, valid during the call that it is handed to. */
struct record {
	struct part *part;
	int64_t offset, timestamp_ms;
	const void *key, *value;
	size_t key_len, value_len;
	const void *message; /* of kafka_source_header(); NULL: not from Kafka */
};

/* Takes the next record of a partition, in order of offset; -1 ends the reading. */
typedef int record_fn(void *arg, const struct record *record, struct err *err);

#endif
