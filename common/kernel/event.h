/* From the bytes of a record to a checked event, by the rules of docs/events.md. One pass, no allocation per
 * event. Pure. */
#ifndef COMMON_KERNEL_EVENT_H
#define COMMON_KERNEL_EVENT_H

#include "common/kernel/json.h"

enum {
	EVENT_RECORD_MAX_BYTES = 2 << 20,
	EVENT_LINES_MAX = 5000,
	EVENT_ID_MAX_BYTES = 64,
	EVENT_NAME_MAX_BYTES = 256,
	EVENT_QUANTITY_MAX = 1000000,
	EVENT_NESTING_MAX = 256,
};
#define EVENT_TOTAL_MAX_E4 (INT64_C(1000000000) * 10000)

/* The closed list of reasons, in the words of docs/events.md. */
#define EVENT_REJECTS(X) \
	X(JSON, "json") \
	X(SIZE, "size") \
	X(TYPE, "type") \
	X(DUPLICATE_KEY, "duplicate_key") \
	X(MISSING, "missing") \
	X(VERSION, "version") \
	X(EVENT_TYPE, "event_type") \
	X(TEXT, "text") \
	X(TIME, "time") \
	X(CURRENCY, "currency") \
	X(QUANTITY, "quantity") \
	X(AMOUNT, "amount")

enum event_reject {
	EVENT_OK,
#define X(name, code) EVENT_REJECT_##name,
	EVENT_REJECTS(X)
#undef X
		EVENT_N_REJECTS, /* array size: EVENT_OK's place stays 0 */
};

const char *event_reject_code(enum event_reject reject); /* "json", ... */

enum event_type { EVENT_PLACED, EVENT_REFUNDED };

struct event_line {
	struct text sku;
	struct text name; /* at == NULL: none */
	int32_t quantity;
	int64_t unit_price_e4;
};

struct event {
	struct text event_id, order_id;
	struct text customer_id; /* at == NULL: not known */
	enum event_type type;
	int64_t time_ms;
	int currency;
	int64_t total_e4; /* >= 0; of the refund if it is one */
	int64_t units; /* > 0 */
	uint32_t n_lines;
	struct event_line *lines;
};

/* Owns the memory that events are parsed into. */
struct event_parser;
struct event_parser *event_parser_new(void);
void event_parser_free(struct event_parser *parser);

/* *ret_event is set on EVENT_OK only; it and its texts belong to the parser or point into `value`, until the
 * next call. value may be NULL when len is 0 (a record without a value). */
MUST_USE enum event_reject event_parse(
	struct event_parser *parser, const void *value, size_t len, const struct event **ret_event);

/* Where an event is at fault, for messages to people. */
struct event_fault {
	const char *field; /* the field's name, NULL: none in particular */
	int64_t line; /* in which element of `lines`; -1: in none */
	enum json_token
		token; /* what stands there; JSON_KEY: the field a second time; JSON_END: nothing, no line */
	struct text value; /* of a string or number, as written; in the input */
	size_t at; /* reason json, and size by nesting: the byte at which the reading ended */
};

/* Of the last event_parse(), which must have refused and not for more than EVENT_RECORD_MAX_BYTES. Valid as
 * long as that value. */
const struct event_fault *event_fault(const struct event_parser *parser);

#endif
