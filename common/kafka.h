/* What batch and speed share of librdkafka: configuration, what the log looks like, and the check that it is
 * the same log. */
#ifndef COMMON_KAFKA_H
#define COMMON_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "common/config.h"
#include "common/tail.h"

/* A new configuration with brokers, client id, logging to our log, read_committed, and the user's -X
 * properties; the caller owns it (rd_kafka_new() takes it on success). role: RD_KAFKA_CONSUMER or
 * RD_KAFKA_PRODUCER. A property that librdkafka does not know is ERR_USAGE. Own settings of the caller come
 * after and win, except over -X: use kafka_conf_set(). */
MUST_USE int kafka_conf(
	const struct config *config, rd_kafka_type_t role, rd_kafka_conf_t **ret_conf, struct err *err);
/* Sets a property unless the user gave it with -X. Unknown name: assertion. */
void kafka_conf_set(rd_kafka_conf_t *conf, const struct config *config, const char *name, const char *value);

/* rd_kafka_new(), which takes the conf in any case here. */
MUST_USE int kafka_open(rd_kafka_t **ret_rk, rd_kafka_type_t role, rd_kafka_conf_t *conf, struct err *err);
void kafka_close(rd_kafka_t **rk); /* for SCOPED(); NULL is fine; closes a consumer first */

struct kafka_log {
	char identity[256]; /* CLUSTER_ID/TOPIC */
	int n_partitions;
};

/* Asks until it is answered or timeout_ms are over. ERR_KAFKA when no broker answers; ERR_DATA when the topic
 * is missing (the message says how to create it). */
MUST_USE int kafka_describe(
	rd_kafka_t *rk, const char *topic, int64_t timeout_ms, struct kafka_log *ret_log, struct err *err);

/* first: the lowest offset that is there. end: the last stable offset (read_committed). Empty partition:
 * first == end. */
MUST_USE int kafka_range(rd_kafka_t *rk, const char *topic, int partition, int64_t timeout_ms,
	int64_t *ret_first, int64_t *ret_end, struct err *err);

/* The same of a topic that was there before: one that is not there just now may come back, so that is
 * ERR_KAFKA. */
MUST_USE int kafka_range_again(rd_kafka_t *rk, const char *topic, int partition, int64_t timeout_ms,
	int64_t *ret_first, int64_t *ret_end, struct err *err);

/* The first offset whose record timestamp is >= time_ms, or the log's end. */
MUST_USE int kafka_offset_at(rd_kafka_t *rk, const char *topic, int partition, int64_t time_ms,
	int64_t timeout_ms, int64_t *ret_offset, struct err *err);

/* rd_kafka_assign(), and waits until it has begun. Every assignment stops all partitions and starts those of
 * the list. When the next one comes while a stop is under way, librdkafka 2.0 stops the partition twice and
 * aborts (its issue 5573). Its main thread takes what it is asked in turn: behind the first question the
 * stops have been taken, behind the second their answers. */
void kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list);

/* A consumer for kafka_check_tail_by(): in no group, reads nothing by itself. */
MUST_USE int kafka_open_reader(const struct config *config, rd_kafka_t **ret_rk, struct err *err);
/* The topic's retention.ms, -1: for ever; -2 when it cannot be had (not permitted, no answer). Blocks for
 * timeout_ms at most. */
int64_t kafka_retention_ms(rd_kafka_t *rk, const char *topic, int64_t timeout_ms);

/* Reads the tail's record again and compares. A tail without a record, or one that retention has taken (below
 * `first`), is fine. ERR_DATA when the log is another one: the message says what to do. Blocks. */
MUST_USE int kafka_check_tail_by(rd_kafka_t *reader, const char *topic, int partition,
	const struct tail *tail, int64_t timeout_ms, struct err *err);
/* The same with a reader of its own. */
MUST_USE int kafka_check_tail(const struct config *config, int partition, const struct tail *tail,
	int64_t timeout_ms, struct err *err);

/* Tail of a message that was consumed. */
void kafka_tail(struct tail *tail, const rd_kafka_message_t *message);

#endif
