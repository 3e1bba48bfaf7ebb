#include "common/base.h"
#include "tests/orders/broken.h"

enum member {
	WHOLE, /* the text is the value */
	TAIL, /* the text follows the members of a good event, and closes it or not */
	EVENT_ID,
	TYPE,
	ORDER_ID,
	CUSTOMER_ID,
	EVENT_TIME,
	CURRENCY,
	LINES,
	MEMBERS
};

#define LINE "{\"sku\":\"85123A\",\"quantity\":6,\"unit_price\":\"2.55\"}"
#define X16 "xxxxxxxxxxxxxxxx"
#define NEST16 "[[[[[[[[[[[[[[[["
#define NEST272 \
	NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 NEST16 \
		NEST16 NEST16 NEST16

/* a good event with one member replaced; an empty text leaves it out */
static const struct {
	const char *reason;
	enum member member;
	const char *text;
} broken[] = {
	{ "json", WHOLE, "not JSON" },
	{ "json", WHOLE, "" },
	{ "json", WHOLE, "{\"event_id\":\"a\"" },
	{ "json", WHOLE, "\xef\xbb\xbf{}" },
	{ "json", TAIL, ",}" },
	{ "json", TAIL, "}}" },
	{ "json", TAIL, "" },
	{ "json", TAIL, ",\"extra\":NaN}" },
	{ "json", TAIL, ",\"extra\":01}" },
	{ "json", TAIL, ",\"extra\":\"\xff\xfe\"}" },
	{ "json", TAIL, ",\"extra\":\"\xed\xa0\x80\"}" },
	{ "json", TAIL, ",\"extra\":\"\x01\"}" },
	{ "json", TAIL, ",\"extra\":'x'}" },
	{ "json", TAIL, ",\"extra\":\"\\x41\"}" },
	{ "json", CURRENCY, "\"currency\":GBP" },
	{ "size", TAIL, ",\"extra\":" NEST272 },
	{ "size", EVENT_ID, "\"event_id\":\"\"" },
	{ "size", EVENT_ID, "\"event_id\":\"" X16 X16 X16 X16 "y\"" },
	{ "size", CUSTOMER_ID, "\"customer_id\":\"\"" },
	{ "size", LINES, "\"lines\":[]" },
	{ "size", LINES, "\"lines\":[{\"sku\":\"\",\"quantity\":1,\"unit_price\":\"1\"}]" },
	{ "type", WHOLE, "[]" },
	{ "type", WHOLE, "null" },
	{ "type", WHOLE, "\"order_placed\"" },
	{ "type", EVENT_ID, "\"event_id\":17" },
	{ "type", ORDER_ID, "\"order_id\":null" },
	{ "type", CUSTOMER_ID, "\"customer_id\":12583" },
	{ "type", EVENT_TIME, "\"event_time\":1291191960000" },
	{ "type", LINES, "\"lines\":{}" },
	{ "type", LINES, "\"lines\":[\"85123A\"]" },
	{ "type", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":\"1\",\"unit_price\":\"1\"}]" },
	{ "type", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":1,\"unit_price\":2.55}]" },
	{ "duplicate_key", TAIL, ",\"currency\":\"GBP\"}" },
	{ "duplicate_key", LINES,
		"\"lines\":[{\"sku\":\"a\",\"sk\\u0075\":\"a\",\"quantity\":1,\"unit_price\":\"1\"}]" },
	{ "missing", WHOLE, "{}" },
	{ "missing", EVENT_ID, "" },
	{ "missing", TYPE, "" },
	{ "missing", ORDER_ID, "" },
	{ "missing", CUSTOMER_ID, "" },
	{ "missing", EVENT_TIME, "" },
	{ "missing", CURRENCY, "" },
	{ "missing", LINES, "" },
	{ "missing", LINES, "\"lines\":[" LINE ",{\"sku\":\"a\",\"quantity\":1}]" },
	{ "version", TAIL, ",\"schema_version\":2}" },
	{ "event_type", TYPE, "\"type\":\"order_shipped\"" },
	{ "text", ORDER_ID, "\"order_id\":\"a\\u0000b\"" },
	{ "text", CUSTOMER_ID, "\"customer_id\":\"\\ud83d\"" },
	{ "time", EVENT_TIME, "\"event_time\":\"yesterday\"" },
	{ "time", EVENT_TIME, "\"event_time\":\"2011-02-29T10:00:00Z\"" },
	{ "time", EVENT_TIME, "\"event_time\":\"2011-02-28T10:00:00\"" },
	{ "time", EVENT_TIME, "\"event_time\":\"2011-02-28T10:00:60Z\"" },
	{ "time", EVENT_TIME, "\"event_time\":\"1979-12-31T23:59:59.999Z\"" },
	{ "currency", CURRENCY, "\"currency\":\"gbp\"" },
	{ "currency", CURRENCY, "\"currency\":\"XAU\"" },
	{ "currency", CURRENCY, "\"currency\":\"QQQ\"" },
	{ "quantity", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":0,\"unit_price\":\"1\"}]" },
	{ "quantity", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":-3,\"unit_price\":\"1\"}]" },
	{ "quantity", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":1.0,\"unit_price\":\"1\"}]" },
	{ "quantity", LINES,
		"\"lines\":[{\"sku\":\"a\",\"quantity\":99999999999999999999,\"unit_price\":\"1\"}]" },
	{ "amount", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":1,\"unit_price\":\"-1.00\"}]" },
	{ "amount", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":1,\"unit_price\":\"1.00001\"}]" },
	{ "amount", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":1,\"unit_price\":\"1,50\"}]" },
	{ "amount", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":1,\"unit_price\":\"\"}]" },
	{ "amount", LINES, "\"lines\":[{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"9999.99\"}]" },
};

unsigned broken_kinds(void)
{
	return ARRAY_SIZE(broken) + 1; /* the last is no value at all */
}

static char *put_good_id(char *p, const char *name, const char *reason, uint64_t id)
{
	*p++ = '"';
	p = put_bytes(p, name, strlen(name));
	p = PUT(p, "\":\"broken-");
	p = put_bytes(p, reason, strlen(reason));
	*p++ = '-';
	p = put_hex16(p, id);
	*p++ = '"';
	return p;
}

static char *put_good(char *p, enum member member, const char *reason, uint64_t id, int64_t time_ms)
{
	switch (member) {
	case EVENT_ID:
		return put_good_id(p, "event_id", reason, id);
	case TYPE:
		return PUT(p, "\"type\":\"order_placed\"");
	case ORDER_ID:
		return put_good_id(p, "order_id", reason, id);
	case CUSTOMER_ID:
		return PUT(p, "\"customer_id\":null");
	case EVENT_TIME:
		p = PUT(p, "\"event_time\":\"");
		p = put_time(p, time_ms, 0);
		return PUT(p, "\"");
	case CURRENCY:
		return PUT(p, "\"currency\":\"GBP\"");
	default:
		return PUT(p, "\"lines\":[" LINE "]");
	}
}

char *broken_put(char *p, unsigned kind, uint64_t id, int64_t time_ms)
{
	if (kind >= ARRAY_SIZE(broken))
		return NULL;
	const char *text = broken[kind].text, *sep = "{";

	if (broken[kind].member == WHOLE)
		return put_bytes(p, text, strlen(text));
	for (enum member m = EVENT_ID; m < MEMBERS; m++) {
		bool replaced = m == broken[kind].member;

		if (replaced && !text[0])
			continue;
		*p++ = *sep;
		sep = ",";
		p = replaced ? put_bytes(p, text, strlen(text))
			     : put_good(p, m, broken[kind].reason, id, time_ms);
	}
	if (broken[kind].member == TAIL)
		return put_bytes(p, text, strlen(text));
	*p++ = '}';
	return p;
}
