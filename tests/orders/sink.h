/* Where records go: Kafka, or standard output with one value a line. Counts them, shows progress on a
 * terminal and sums up at the end. One thread.
 *
 * Kafka: an idempotent producer that waits for all replicas; keys choose partitions as Java clients do
 * (murmur2); record timestamps are the time of producing, because Kafka deletes by them. sink_put() waits
 * while the queue is full; what was not acknowledged by sink_close() is an error, and nothing else is
 * trusted. */
#ifndef ORDERS_SINK_H
#define ORDERS_SINK_H

#include "common/err.h"
#include "tests/orders/options.h"
#include "tests/orders/record.h"

struct sink_config {
	bool to_stdout;
	const char *brokers, *topic; /* NULL: LAMBDA_BROKERS or 127.0.0.1:9092; LAMBDA_TOPIC or orders */
	const char *ack_log; /* NULL, a file, or "-" */
	struct option_list x; /* name=value for librdkafka */
	bool live; /* soon rather than in large batches */
	uint64_t expected; /* records, for the progress; 0 if not known */
};

#define SINK_OPTIONS(type, member) \
	{ "--stdout", NULL, OPTION_FLAG, offsetof(type, member.to_stdout), 0, 0, \
		"one value a line, not to Kafka" }, \
		{ "--brokers", "HOST:PORT,..", OPTION_TEXT, offsetof(type, member.brokers), 0, 0, \
			"Kafka (LAMBDA_BROKERS; 127.0.0.1:9092)" }, \
		{ "--topic", "NAME", OPTION_TEXT, offsetof(type, member.topic), 0, 0, \
			"(LAMBDA_TOPIC; orders)" }, \
		{ "--ack-log", "FILE", OPTION_TEXT, offsetof(type, member.ack_log), 0, 0, \
			"a line per acknowledged event: id, microseconds, currency, net in 1/10000; - for " \
			"stdout" }, \
	{ \
		"-X", "NAME=VALUE", OPTION_LIST, offsetof(type, member.x), 0, 0, "a setting of librdkafka" \
	}

struct sink;

/* Errors: ERR_KAFKA (not reached in 10 s, no such topic), ERR_USAGE (-X), ERR_IO (ack log). config is
 * borrowed. */
MUST_USE int sink_open(const struct sink_config *config, struct sink **ret, struct err *err);
MUST_USE int sink_put(struct sink *s, const struct record *record, struct err *err);
/* Waits up to wait_us, serves acknowledgements and lets nothing lie in a buffer. */
MUST_USE int sink_wait(struct sink *s, uint64_t wait_us, struct err *err);
/* Waits until every record is acknowledged or failed (ERR_KAFKA), prints the sum and frees s, whatever
 * happens. NULL is accepted. */
MUST_USE int sink_close(struct sink *s, struct err *err);

#endif
