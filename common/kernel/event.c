#include "common/base.h"
#include "common/kernel/event.h"
#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/kernel/json.h"
#include "common/kernel/money.h"
#include "common/mem.h"

static_assert((int)EVENT_NESTING_MAX == (int)JSON_DEPTH_MAX, "one limit, two names");

enum event_field {
	FIELD_UNKNOWN = -1,
	FIELD_EVENT_ID,
	FIELD_TYPE,
	FIELD_ORDER_ID,
	FIELD_CUSTOMER_ID,
	FIELD_EVENT_TIME,
	FIELD_CURRENCY,
	FIELD_LINES,
	FIELD_SCHEMA_VERSION,
	FIELD_SKU,
	FIELD_QUANTITY,
	FIELD_UNIT_PRICE,
	FIELD_NAME,
};

static const char *const event_field_names[] = { "event_id", "type", "order_id", "customer_id", "event_time",
	"currency", "lines", "schema_version", "sku", "quantity", "unit_price", "name" };

enum {
	EVENT_REQUIRED = 1 << FIELD_EVENT_ID | 1 << FIELD_TYPE | 1 << FIELD_ORDER_ID |
			 1 << FIELD_CUSTOMER_ID | 1 << FIELD_EVENT_TIME | 1 << FIELD_CURRENCY |
			 1 << FIELD_LINES,
	LINE_REQUIRED = 1 << FIELD_SKU | 1 << FIELD_QUANTITY | 1 << FIELD_UNIT_PRICE,
	EVENT_KEY_MAX = 14, /* "schema_version" */
};

struct event_parser {
	struct json json;
	struct event event;
	bool missing; /* a required field is not there */
	bool too_large; /* the total */
	struct event_fault fault; /* set only where something is refused */
	size_t unescaped_len;
	char *unescaped; /* meanings of texts with escapes: never longer than the record */
	struct event_line lines[EVENT_LINES_MAX];
};

const char *event_reject_code(enum event_reject reject)
{
	static const char *const codes[] = { [EVENT_OK] = "ok",
#define X(name, code) [EVENT_REJECT_##name] = code,
		EVENT_REJECTS(X)
#undef X
	};

	return codes[reject];
}

struct event_parser *event_parser_new(void)
{
	struct event_parser *parser = xmalloc(sizeof(*parser));

	parser->unescaped = xmalloc(EVENT_RECORD_MAX_BYTES);
	return parser;
}

void event_parser_free(struct event_parser *parser)
{
	if (!parser)
		return;
	free(parser->unescaped);
	free(parser);
}

/* Notes where the fault is; the field's value, if there is one, has just been read. */
static enum event_reject event_refuse(struct event_parser *parser, enum event_reject reject,
	enum event_field field, int64_t line, enum json_token token)
{
	bool has_text = token == JSON_STRING || token == JSON_NUMBER;

	parser->fault = (struct event_fault){ field == FIELD_UNKNOWN ? NULL : event_field_names[field], line,
		token, has_text ? parser->json.text : (struct text){ NULL, 0 }, 0 };
	return reject;
}

/* One of the fields in the set is missing: the first one is named. */
static void event_miss(struct event_parser *parser, unsigned fields, int64_t line)
{
	if (!parser->missing)
		event_refuse(parser, EVENT_REJECT_MISSING, (enum event_field)__builtin_ctz(fields), line,
			JSON_END);
	parser->missing = true;
}

static bool event_key_is(struct text key, const char *name)
{
	return memcmp(key.at, name, key.len) == 0;
}

static enum event_field event_field_of_event(struct text key)
{
	switch (key.len) {
	case 4:
		return event_key_is(key, "type") ? FIELD_TYPE : FIELD_UNKNOWN;
	case 5:
		return event_key_is(key, "lines") ? FIELD_LINES : FIELD_UNKNOWN;
	case 8:
		if (event_key_is(key, "event_id"))
			return FIELD_EVENT_ID;
		if (event_key_is(key, "order_id"))
			return FIELD_ORDER_ID;
		return event_key_is(key, "currency") ? FIELD_CURRENCY : FIELD_UNKNOWN;
	case 10:
		return event_key_is(key, "event_time") ? FIELD_EVENT_TIME : FIELD_UNKNOWN;
	case 11:
		return event_key_is(key, "customer_id") ? FIELD_CUSTOMER_ID : FIELD_UNKNOWN;
	case 14:
		return event_key_is(key, "schema_version") ? FIELD_SCHEMA_VERSION : FIELD_UNKNOWN;
	default:
		return FIELD_UNKNOWN;
	}
}

static enum event_field event_field_of_line(struct text key)
{
	switch (key.len) {
	case 3:
		return event_key_is(key, "sku") ? FIELD_SKU : FIELD_UNKNOWN;
	case 4:
		return event_key_is(key, "name") ? FIELD_NAME : FIELD_UNKNOWN;
	case 8:
		return event_key_is(key, "quantity") ? FIELD_QUANTITY : FIELD_UNKNOWN;
	case 10:
		return event_key_is(key, "unit_price") ? FIELD_UNIT_PRICE : FIELD_UNKNOWN;
	default:
		return FIELD_UNKNOWN;
	}
}

/* The field that the key just read names, whatever escapes it is written with. */
static enum event_field event_field(const struct json *json, enum event_field (*of)(struct text key))
{
	char meaning[6 * EVENT_KEY_MAX] = "";

	if (!json->escaped)
		return of(json->text);
	if (json->unstorable || json->text.len > sizeof(meaning))
		return FIELD_UNKNOWN;
	return of((struct text){ meaning, json_unescape(json->text, meaning) });
}

/* A string field's value, with escapes resolved. */
static enum event_reject event_string(struct event_parser *parser, enum json_token token, struct text *ret)
{
	struct json *json = &parser->json;
	char *out = parser->unescaped + parser->unescaped_len;

	if (token != JSON_STRING)
		return EVENT_REJECT_TYPE;
	if (json->unstorable)
		return EVENT_REJECT_TEXT;
	*ret = json->text;
	if (json->escaped) {
		*ret = (struct text){ out, json_unescape(json->text, out) };
		parser->unescaped_len += ret->len;
	}
	return EVENT_OK;
}

static enum event_reject event_id(struct event_parser *parser, enum json_token token, struct text *ret)
{
	enum event_reject reject = event_string(parser, token, ret);

	if (reject)
		return reject;
	return ret->len < 1 || ret->len > EVENT_ID_MAX_BYTES ? EVENT_REJECT_SIZE : EVENT_OK;
}

static enum event_reject event_name(struct event_parser *parser, enum json_token token, struct text *ret)
{
	enum event_reject reject = event_string(parser, token, ret);

	if (reject)
		return reject;
	return ret->len > EVENT_NAME_MAX_BYTES ? EVENT_REJECT_SIZE : EVENT_OK;
}

static enum event_reject event_type(struct event_parser *parser, enum json_token token, enum event_type *ret)
{
	struct text text;
	enum event_reject reject = event_string(parser, token, &text);

	if (reject)
		return reject;
	if (text.len == strlen("order_placed") && memcmp(text.at, "order_placed", text.len) == 0)
		*ret = EVENT_PLACED;
	else if (text.len == strlen("order_refunded") && memcmp(text.at, "order_refunded", text.len) == 0)
		*ret = EVENT_REFUNDED;
	else
		return EVENT_REJECT_EVENT_TYPE;
	return EVENT_OK;
}

static enum event_reject event_time(struct event_parser *parser, enum json_token token, int64_t *ret_ms)
{
	struct text text;
	enum event_reject reject = event_string(parser, token, &text);

	if (reject)
		return reject;
	return datetime_parse(text, ret_ms) ? EVENT_REJECT_TIME : EVENT_OK;
}

static enum event_reject event_currency(struct event_parser *parser, enum json_token token, int *ret)
{
	struct text text;
	enum event_reject reject = event_string(parser, token, &text);

	if (reject)
		return reject;
	*ret = currency_find(text);
	return *ret < 0 ? EVENT_REJECT_CURRENCY : EVENT_OK;
}

static enum event_reject event_price(struct event_parser *parser, enum json_token token, int64_t *ret_e4)
{
	struct text text;
	enum event_reject reject = event_string(parser, token, &text);

	if (reject)
		return reject;
	return money_parse(text, ret_e4) ? EVENT_REJECT_AMOUNT : EVENT_OK;
}

/* The scanner has seen to it that it is a number; only the form of an integer has nothing but digits. */
static enum event_reject event_quantity(struct event_parser *parser, enum json_token token, int32_t *ret)
{
	struct text text = parser->json.text;
	int32_t value = 0;

	if (token != JSON_NUMBER)
		return EVENT_REJECT_TYPE;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9' || value > EVENT_QUANTITY_MAX)
			return EVENT_REJECT_QUANTITY;
		value = value * 10 + (text.at[i] - '0');
	}
	if (value < 1 || value > EVENT_QUANTITY_MAX)
		return EVENT_REJECT_QUANTITY;
	*ret = value;
	return EVENT_OK;
}

/* A number with fraction or exponent is no integer, so it has the wrong type, whatever its value. */
static enum event_reject event_version(struct event_parser *parser, enum json_token token)
{
	struct text text = parser->json.text;

	if (token != JSON_NUMBER)
		return EVENT_REJECT_TYPE;
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] == '.' || text.at[i] == 'e' || text.at[i] == 'E')
			return EVENT_REJECT_TYPE;
	return text.len == 1 && text.at[0] == '1' ? EVENT_OK : EVENT_REJECT_VERSION;
}

static enum event_reject event_line_value(
	struct event_parser *parser, enum event_field field, enum json_token token, struct event_line *line)
{
	switch (field) {
	case FIELD_SKU:
		return event_id(parser, token, &line->sku);
	case FIELD_QUANTITY:
		return event_quantity(parser, token, &line->quantity);
	case FIELD_UNIT_PRICE:
		return event_price(parser, token, &line->unit_price_e4);
	case FIELD_NAME:
		return token == JSON_NULL ? EVENT_OK : event_name(parser, token, &line->name);
	default:
		abort(); /* no field of a line */
	}
}

/* Adds a whole line to the totals. */
static void event_count_line(struct event_parser *parser, const struct event_line *line)
{
	struct event *event = &parser->event;
	int64_t amount_e4;

	if (money_mul(line->unit_price_e4, line->quantity, &amount_e4) || amount_e4 > EVENT_TOTAL_MAX_E4)
		amount_e4 = EVENT_TOTAL_MAX_E4 + 1;
	event->total_e4 += amount_e4; /* at most 5,000 times 10^13 */
	event->units += line->quantity;
	if (event->total_e4 > EVENT_TOTAL_MAX_E4)
		parser->too_large = true;
}

/* A line, whose opening brace has been read. */
static enum event_reject event_line(struct event_parser *parser)
{
	struct event_line *line = &parser->lines[parser->event.n_lines++];
	struct json *json = &parser->json;
	int64_t index = line - parser->lines;
	unsigned seen = 0;

	*line = (struct event_line){ 0 };
	while (json_member(json) == JSON_KEY) {
		enum event_field field = event_field(json, event_field_of_line);
		enum json_token token;
		enum event_reject reject;

		if (field == FIELD_UNKNOWN) {
			json_skip(json);
			continue;
		}
		if (seen & 1U << field)
			return event_refuse(parser, EVENT_REJECT_DUPLICATE_KEY, field, index, JSON_KEY);
		seen |= 1U << field;
		token = json_value(json);
		reject = event_line_value(parser, field, token, line);
		if (reject)
			return event_refuse(parser, reject, field, index, token);
	}
	if ((seen & LINE_REQUIRED) == LINE_REQUIRED)
		event_count_line(parser, line);
	else
		event_miss(parser, LINE_REQUIRED & ~seen, index);
	return EVENT_OK;
}

static enum event_reject event_lines(struct event_parser *parser, enum json_token token)
{
	struct json *json = &parser->json;
	uint32_t *n = &parser->event.n_lines;

	if (token != JSON_ARRAY)
		return event_refuse(parser, EVENT_REJECT_TYPE, FIELD_LINES, -1, token);
	while ((token = json_element(json)) != JSON_END) {
		enum event_reject reject;

		if (*n == EVENT_LINES_MAX)
			return event_refuse(parser, EVENT_REJECT_SIZE, FIELD_LINES, -1, JSON_ARRAY);
		if (token != JSON_OBJECT)
			return event_refuse(parser, EVENT_REJECT_TYPE, FIELD_LINES, *n, token);
		reject = event_line(parser);
		if (reject)
			return reject;
	}
	return *n ? EVENT_OK : event_refuse(parser, EVENT_REJECT_SIZE, FIELD_LINES, -1, JSON_END);
}

static enum event_reject event_value(
	struct event_parser *parser, enum event_field field, enum json_token token)
{
	struct event *event = &parser->event;

	switch (field) {
	case FIELD_EVENT_ID:
		return event_id(parser, token, &event->event_id);
	case FIELD_TYPE:
		return event_type(parser, token, &event->type);
	case FIELD_ORDER_ID:
		return event_id(parser, token, &event->order_id);
	case FIELD_CUSTOMER_ID:
		return token == JSON_NULL ? EVENT_OK : event_id(parser, token, &event->customer_id);
	case FIELD_EVENT_TIME:
		return event_time(parser, token, &event->time_ms);
	case FIELD_CURRENCY:
		return event_currency(parser, token, &event->currency);
	case FIELD_LINES:
		return event_lines(parser, token);
	case FIELD_SCHEMA_VERSION:
		return event_version(parser, token);
	default:
		abort(); /* no field of an event */
	}
}

/* Reads up to the first broken rule. Where the text itself is broken the result means nothing: json_drain()
 * will say so. */
static enum event_reject event_read(struct event_parser *parser)
{
	struct json *json = &parser->json;
	enum json_token token = json_value(json);
	unsigned seen = 0;

	if (token != JSON_OBJECT)
		return event_refuse(parser, EVENT_REJECT_TYPE, FIELD_UNKNOWN, -1, token);
	while (json_member(json) == JSON_KEY) {
		enum event_field field = event_field(json, event_field_of_event);
		enum event_reject reject;

		if (field == FIELD_UNKNOWN) {
			json_skip(json);
			continue;
		}
		if (seen & 1U << field)
			return event_refuse(parser, EVENT_REJECT_DUPLICATE_KEY, field, -1, JSON_KEY);
		seen |= 1U << field;
		token = json_value(json);
		reject = event_value(parser, field, token);
		if (reject) /* lines have told it themselves */
			return field == FIELD_LINES ? reject : event_refuse(parser, reject, field, -1, token);
	}
	if ((seen & EVENT_REQUIRED) != EVENT_REQUIRED)
		event_miss(parser, EVENT_REQUIRED & ~seen, -1);
	return EVENT_OK;
}

enum event_reject event_parse(
	struct event_parser *parser, const void *value, size_t len, const struct event **ret_event)
{
	struct json *json = &parser->json;
	enum event_reject reject;

	if (len > EVENT_RECORD_MAX_BYTES)
		return EVENT_REJECT_SIZE;
	json_init(json, value, len);
	parser->event = (struct event){ .lines = parser->lines };
	parser->missing = parser->too_large = false;
	parser->unescaped_len = 0;
	reject = event_read(parser);
	if (json_drain(json) != JSON_END) {
		event_refuse(parser, EVENT_REJECT_JSON, FIELD_UNKNOWN, -1, json->failure);
		parser->fault.at = len - (size_t)(json->end - json->at);
		return json->failure == JSON_BROKEN ? EVENT_REJECT_JSON : EVENT_REJECT_SIZE;
	}
	if (reject)
		return reject;
	if (parser->missing)
		return EVENT_REJECT_MISSING;
	if (parser->too_large)
		return event_refuse(parser, EVENT_REJECT_AMOUNT, FIELD_UNKNOWN, -1, JSON_END);
	*ret_event = &parser->event;
	return EVENT_OK;
}

const struct event_fault *event_fault(const struct event_parser *parser)
{
	return &parser->fault;
}
