/* The Kafka half of sink.h, the only one that knows librdkafka. Same contracts. */
#ifndef ORDERS_KAFKA_SINK_H
#define ORDERS_KAFKA_SINK_H

#include "tests/orders/sink.h"

struct kafka_sink;

MUST_USE int kafka_sink_open(const struct sink_config *config, struct kafka_sink **ret, struct err *err);
MUST_USE int kafka_sink_put(struct kafka_sink *k, const struct record *record, struct err *err);
MUST_USE int kafka_sink_wait(struct kafka_sink *k, uint64_t wait_us, struct err *err);
MUST_USE int kafka_sink_close(struct kafka_sink *k, struct err *err);

#endif
