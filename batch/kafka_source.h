/* Records from Kafka. Another source of the same log offers the same function. */
#ifndef BATCH_KAFKA_SOURCE_H
#define BATCH_KAFKA_SOURCE_H

#include "batch/part.h"
#include "common/config.h"

/* Reads [part->next, part->cut) of each of n_parts partitions, with a handle of its own, and calls
 * on_record() for each record in the order of its partition; part->next moves with it, and stands at
 * part->cut or behind in the end.
 * - errors: ERR_DATA, the log has lost what was to be read; ERR_KAFKA, nothing came for connect_wait;
 *   ERR_STOPPED; those of on_record()
 * - thread: any, but each partition in one only; blocks */
MUST_USE int kafka_source_read(const struct config *config, struct part **parts, int n_parts,
	record_fn *on_record, void *arg, struct err *err);

/* The n-th header of a record that Kafka handed over; valid as long as the record. False: it has no more. */
bool kafka_source_header(const struct record *record, size_t n, struct archive_header *ret_header);

#endif
