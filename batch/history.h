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
	struct archive archive; /* what the parts' archive points into */
	bool archive_only; /* Kafka is not asked; each end is that of the archive */
	bool truncated; /* some partition does not begin at offset 0, and that is allowed */
	struct ranges
		holes; /* owned; offsets that are neither in the archive nor in Kafka; some may be empty */
	struct ranges lost; /* owned; those of them that --accept-lost allows */
};

/* Looks at the archive, if there is one, and asks Kafka, unless --source=archive. base->publication is 0 when
 * there is none. Errors: ERR_KAFKA after connect_wait; ERR_DATA: no such topic, another log than the base's
 * or the archive's, or the archive is damaged; ERR_NO_INPUT: the
 * archive cannot be read. */
MUST_USE int history_open(struct history *ret_history, const struct config *config,
	const struct pg_published *base, struct err *err);
/* Are the holes allowed? Tells ->truncated and ->lost. ERR_DATA: not. */
MUST_USE int history_check_holes(struct history *history, const struct config *config,
	const struct pg_published *base, struct err *err);
void history_release(struct history *history);

/* A run without Kafka ends where the archive ends. Where speed has counted more it goes back to there, and
 * needs what follows from Kafka: refused with ERR_KAFKA or ERR_DATA when that cannot be had. The parts'
 * speed_next is known. */
MUST_USE int history_check_ahead(const struct history *history, const struct config *config, struct err *err);

#endif
