/* The archive and Kafka: is it the same log, and does retention leave time to archive it? */
#ifndef BATCH_ARCHIVE_CHECK_H
#define BATCH_ARCHIVE_CHECK_H

#include "common/archive.h"
#include "common/config.h"
#include "common/kafka.h"

/* ERR_DATA: the archive is of another cluster or topic than log, has more partitions, or Kafka has another
 * record where a partition's archive ends. Blocks. */
MUST_USE int archive_check_log(const struct archive *archive, const struct config *config,
	const struct kafka_log *log, struct err *err);

/* A warning when the topic keeps records for less time than has passed since the log was archived. */
void archive_warn_retention(const struct archive *archive, rd_kafka_t *rk, const struct config *config);

#endif
