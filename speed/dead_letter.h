/* The topic NAME.dead: what is no event, for a human to look at. Same partition as in the log, key
 * "partition/offset", value the record's bytes, headers topic, partition, offset, reason. At least once: a
 * flush waits until the broker has acknowledged the letters of the records that it passes; the topic is
 * compacted, so a second one replaces the first.
 *
 * A record larger than DEAD_LETTER_MAX_BYTES is cut there; the header "bytes" then has its whole length.
 * A letter that cannot be delivered sets the partition's dead_failed: it reads the record again later. One
 * thread. */
#ifndef SPEED_DEAD_LETTER_H
#define SPEED_DEAD_LETTER_H

#include "common/kafka.h"
#include "speed/partition.h"

enum { DEAD_LETTER_MAX_BYTES = 3 << 20 };

struct dead_letter {
	rd_kafka_t *rk;
	char topic[256];
	int n_partitions; /* that the topic is known to have */
	int64_t n_waiting; /* letters on their way */
	struct err err; /* why the last one failed */
};

MUST_USE int dead_letter_open(struct dead_letter *dead, const struct config *config, struct err *err);
/* Creates the topic, or gives it more partitions, so that it has n_partitions at least. asker: a consumer's
 * handle, which never creates a topic by asking for it. Blocks up to some seconds. */
MUST_USE int dead_letter_ensure(
	struct dead_letter *dead, rd_kafka_t *asker, int n_partitions, struct err *err);
/* -1: the queue is full or the partition is not there; the partition's dead_failed is set then. */
int dead_letter_send(struct dead_letter *dead, struct partition *partition, const rd_kafka_message_t *message,
	enum event_reject reject, struct err *err);
/* Takes acknowledgements. */
void dead_letter_poll(struct dead_letter *dead, int timeout_ms);
void dead_letter_close(struct dead_letter *dead); /* what is on its way is given up; accepts a zeroed one */

#endif
