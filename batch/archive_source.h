/* Records from the archive: the same as Kafka gave, in the same order. */
#ifndef BATCH_ARCHIVE_SOURCE_H
#define BATCH_ARCHIVE_SOURCE_H

#include "batch/part.h"

/* Reads what the archive has of the partition from part->next on, file by file, over the ranges that are
 * gone, and calls on_record() for each record; part->next stands where Kafka must go on, or at the archive's
 * end.
 * - errors: ERR_DATA, a file is damaged, or the archive is not of the log that the base run has read;
 * ERR_NO_INPUT; ERR_STOPPED; those of on_record(). What was handed over before an error came is worth
 * nothing: that a file is whole is known at its end
 * - thread: any, but each partition in one only; blocks */
MUST_USE int archive_source_read(struct part *part, record_fn *on_record, void *arg, struct err *err);

#endif
