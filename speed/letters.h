/* Two topics for humans and other programs to look at: NAME.dead has what is no event, NAME.late what came
 * after its minute was final. Same partition as in the log, key "partition/offset", value the record's bytes,
 * headers topic, partition, offset, and reason (dead) or late_ms (late). At least once: a flush waits until
 * the broker has acknowledged the letters of the records that it passes; the topics are compacted, so a
 * second one replaces the first.
 *
 * A record larger than LETTERS_MAX_BYTES is cut there; the header "bytes" then has its whole length.
 * A letter that cannot be delivered sets the partition's letters_failed: it reads the record again later. One
 * thread. */
#ifndef SPEED_LETTERS_H
#define SPEED_LETTERS_H

#include "common/kafka.h"
#include "speed/partition.h"

enum { LETTERS_MAX_BYTES = 3 << 20 };

enum letters_kind { LETTERS_DEAD, LETTERS_LATE, LETTERS_N_KINDS };

struct letters {
	rd_kafka_t *rk;
	const char *log; /* the topic that records come from; borrowed */
	char topics[LETTERS_N_KINDS][256];
	int n_partitions; /* that the topics are known to have */
	int64_t n_waiting; /* letters on their way */
	struct err err; /* why the last one failed */
};

MUST_USE int letters_open(struct letters *letters, const struct config *config, struct err *err);
/* Creates the topics, or gives them more partitions, so that they have n_partitions at least. asker: a
 * consumer's handle, which never creates a topic by asking for it. Blocks up to some seconds. */
MUST_USE int letters_ensure(struct letters *letters, rd_kafka_t *asker, int n_partitions, struct err *err);
/* why: the value of the header reason or late_ms. -1: the queue is full or the partition is not there; the
 * partition's letters_failed is set then. */
int letters_send(struct letters *letters, struct partition *partition, const struct record *record,
	enum letters_kind kind, const char *why, struct err *err);
/* Takes acknowledgements. */
void letters_poll(struct letters *letters, int timeout_ms);
void letters_close(struct letters *letters); /* what is on its way is given up; accepts a zeroed one */

#endif
