/* The log as the run finds it, and whether it is the one that the base run has read. */
#ifndef BATCH_HISTORY_H
#define BATCH_HISTORY_H

#include "batch/part.h"
#include "common/config.h"
#include "common/kafka.h"
#include "common/pg.h"

struct history {
	struct kafka_log log;
	struct part *parts; /* owned; by partition */
	int n_parts;
	bool truncated; /* some partition does not begin at offset 0, and that is allowed */
};

/* Asks Kafka. base->publication is 0 when there is none.
 * Errors: ERR_KAFKA after connect_wait; ERR_DATA: no such topic, another log than the base's, or history is
 * missing and that is not allowed. */
MUST_USE int history_open(struct history *ret_history, const struct config *config,
	const struct pg_published *base, struct err *err);
void history_release(struct history *history);

#endif
