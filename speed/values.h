/* What a partition's pending records come to: the increments that the next flush adds to what is kept (in
 * Redis: docs/redis.md, chunks). Pure; one thread. No allocation per event once it has grown. */
#ifndef SPEED_VALUES_H
#define SPEED_VALUES_H

#include "common/kernel/fold.h"
#include "common/redis_handover.h"

struct values_order {
	int64_t chunk; /* hour or day */
	uint32_t customer; /* of an entry of that table, else 0 */
	size_t entry; /* in its table */
};

/* Entry of a table. */
struct values_day {
	int32_t day; /* the key */
	int32_t pad;
	int64_t duplicate;
};

/* Entry of a table: what a product was called at last, by event time, then by place in the log. */
struct values_name {
	uint32_t sku; /* the key; its number in tally.texts */
	uint32_t text; /* so is the name's */
	int64_t time_ms;
};

struct values {
	struct tally tally;
	bool has_names; /* names are kept; not in Redis, where the batch's are enough */
	struct table names; /* struct values_name, of all valid events */
	struct table days; /* struct values_day: duplicates */
	struct values_order *order; /* scratch of values_flush() */
	size_t order_capacity;
	char *text; /* scratch too: what one customer did */
	size_t text_capacity;
};

void values_init(struct values *values);
void values_release(struct values *values);
void values_clear(struct values *values);

/* Folds one record, adds what it counts. event is NULL when it was rejected; *ret_late_ms as of
 * fold_record(). wall_ms: the wall clock, which bounds what is kept by customer (in Kappa mode
 * the log alone does: INT64_MAX). ERR_DATA on overflow, which
 * pending_max rules out. */
MUST_USE int values_add(struct values *values, struct fold *fold, int64_t offset, int64_t record_ms,
	int64_t wall_ms, const struct event *event, enum event_reject reject, int64_t *ret_late_ms,
	struct err *err);

/* The whole flush as one command. */
void values_flush(struct values *values, struct redis_command *command, const char *base,
	const struct redis_flush *flush);

#endif
