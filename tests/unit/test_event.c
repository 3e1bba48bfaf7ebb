#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/kernel/event.h"
#include "tests/unit/unit.h"

#define LINE "{\"sku\":\"85123A\",\"quantity\":6,\"unit_price\":\"2.55\",\"name\":\"white holder\"}"
#define ID "\"event_id\":\"7c1e\""
#define TYPE "\"type\":\"order_placed\""
#define ORDER "\"order_id\":\"536365\""
#define CUSTOMER "\"customer_id\":\"17850\""
#define TIME "\"event_time\":\"2010-12-01T08:26:00.000+00:00\""
#define CURRENCY "\"currency\":\"GBP\""
#define LINES "\"lines\":[" LINE "]"
#define GOOD "{\"schema_version\":1," ID "," TYPE "," ORDER "," CUSTOMER "," TIME "," CURRENCY "," LINES "}"

/* one part replaced */
#define WITH_ID(x) "{" x "," TYPE "," ORDER "," CUSTOMER "," TIME "," CURRENCY "," LINES "}"
#define WITH_TYPE(x) "{" ID "," x "," ORDER "," CUSTOMER "," TIME "," CURRENCY "," LINES "}"
#define WITH_ORDER(x) "{" ID "," TYPE "," x "," CUSTOMER "," TIME "," CURRENCY "," LINES "}"
#define WITH_CUSTOMER(x) "{" ID "," TYPE "," ORDER "," x "," TIME "," CURRENCY "," LINES "}"
#define WITH_TIME(x) "{" ID "," TYPE "," ORDER "," CUSTOMER "," x "," CURRENCY "," LINES "}"
#define WITH_CURRENCY(x) "{" ID "," TYPE "," ORDER "," CUSTOMER "," TIME "," x "," LINES "}"
#define WITH_LINES(x) "{" ID "," TYPE "," ORDER "," CUSTOMER "," TIME "," CURRENCY "," x "}"
#define WITH_LINE(x) WITH_LINES("\"lines\":[" x "]")
#define WITH_SKU(x) WITH_LINE("{" x ",\"quantity\":6,\"unit_price\":\"2.55\"}")
#define WITH_QUANTITY(x) WITH_LINE("{\"sku\":\"a\",\"quantity\":" x ",\"unit_price\":\"2.55\"}")
#define WITH_PRICE(x) WITH_LINE("{\"sku\":\"a\",\"quantity\":6,\"unit_price\":" x "}")
#define WITH_NAME(x) WITH_LINE("{\"sku\":\"a\",\"quantity\":6,\"unit_price\":\"1\",\"name\":" x "}")
#define WITH(x) "{" x "," ID "," TYPE "," ORDER "," CUSTOMER "," TIME "," CURRENCY "," LINES "}"
#define AND(x) "{" ID "," TYPE "," ORDER "," CUSTOMER "," TIME "," CURRENCY "," LINES "," x "}"

#define B64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define E16 "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define U16 "\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9"

/* clang-format off */
static const struct {
	const char *value;
	enum event_reject reject;
} cases[] = {
#define OK(x) { x, EVENT_OK },
#define NO(x, reason) { x, EVENT_REJECT_##reason },
	OK(GOOD)
	OK(WITH("\"unknown\":{\"lines\":[1,[2]],\"event_id\":7}"))
	OK(WITH("\"sku\":1,\"sku\":2,\"name\":3"))
	OK(WITH("\"Event_id\":1,\"event_id \":2,\"even\\u0000_id\":3,\"event_i\\ud800\":4"))
	OK(WITH_LINE("{\"x\":[{}],\"sku\":\"a\",\"x\":2,\"quantity\":1,\"unit_price\":\"0\",\"lines\":0,\"event_id\":[]}"))
	OK(" \n\t" GOOD "\r\n ")
	/* json: whatever else is wrong */
	NO("", JSON) NO(" ", JSON) NO("{", JSON) NO(GOOD "x", JSON) NO(GOOD GOOD, JSON) NO("\xef\xbb\xbf" GOOD, JSON)
	NO("[1,", JSON) NO("{\"event_id\":7,}", JSON) NO("{\"type\":\"x\",\"type\":1", JSON) NO("\xff", JSON)
	NO(AND("\"x\":\"\xc3\""), JSON) NO(AND("\"x\":\"\xed\xa0\x80\""), JSON) NO(AND("\"x\":\"\n\""), JSON)
	NO(WITH("\"schema_version\":01"), JSON) NO(WITH_QUANTITY("1."), JSON) NO(WITH_QUANTITY("+1"), JSON)
	NO(WITH_QUANTITY("0x1"), JSON) NO(WITH_QUANTITY("1 2"), JSON) NO(WITH_LINE(LINE ","), JSON) NO("nul", JSON)
	NO("{\"event_id\":1,\"x\":tru}", JSON) NO(WITH_LINES("\"lines\":[]") "]", JSON)
	/* type: of the value, a field, a line */
	NO("[]", TYPE) NO("null", TYPE) NO("\"x\"", TYPE) NO("17", TYPE) NO("true", TYPE) NO("[" GOOD "]", TYPE)
	NO(WITH_ID("\"event_id\":7"), TYPE) NO(WITH_ID("\"event_id\":null"), TYPE) NO(WITH_ID("\"event_id\":[\"a\"]"), TYPE)
	NO(WITH_TYPE("\"type\":null"), TYPE) NO(WITH_TYPE("\"type\":1"), TYPE) NO(WITH_ORDER("\"order_id\":536365"), TYPE)
	NO(WITH_ORDER("\"order_id\":null"), TYPE) NO(WITH_CUSTOMER("\"customer_id\":17850"), TYPE)
	NO(WITH_CUSTOMER("\"customer_id\":{}"), TYPE) NO(WITH_CUSTOMER("\"customer_id\":false"), TYPE)
	NO(WITH_TIME("\"event_time\":1291191960000"), TYPE) NO(WITH_TIME("\"event_time\":null"), TYPE)
	NO(WITH_CURRENCY("\"currency\":826"), TYPE) NO(WITH_CURRENCY("\"currency\":[\"GBP\"]"), TYPE)
	NO(WITH_LINES("\"lines\":{}"), TYPE) NO(WITH_LINES("\"lines\":null"), TYPE) NO(WITH_LINES("\"lines\":\"[]\""), TYPE)
	NO(WITH_LINE("1"), TYPE) NO(WITH_LINE("null"), TYPE) NO(WITH_LINE(LINE ",[]"), TYPE) NO(WITH_SKU("\"sku\":1"), TYPE)
	NO(WITH_SKU("\"sku\":null"), TYPE) NO(WITH_QUANTITY("\"6\""), TYPE) NO(WITH_QUANTITY("null"), TYPE)
	NO(WITH_QUANTITY("[6]"), TYPE) NO(WITH_PRICE("2.55"), TYPE) NO(WITH_PRICE("null"), TYPE) NO(WITH_NAME("1"), TYPE)
	NO(WITH_NAME("[]"), TYPE) NO(WITH("\"schema_version\":\"1\""), TYPE) NO(WITH("\"schema_version\":null"), TYPE)
	NO(WITH("\"schema_version\":1.0"), TYPE) NO(WITH("\"schema_version\":1e0"), TYPE) NO(WITH("\"schema_version\":2.5"), TYPE)
	NO(WITH("\"schema_version\":true"), TYPE)
	/* version */
	NO(WITH("\"schema_version\":2"), VERSION) NO(WITH("\"schema_version\":0"), VERSION) NO(WITH("\"schema_version\":-1"), VERSION)
	NO(WITH("\"schema_version\":-0"), VERSION) NO(WITH("\"schema_version\":11"), VERSION)
	NO(WITH("\"schema_version\":1000000000000000000000000000001"), VERSION) OK(WITH("\"schema_version\":1"))
	OK(AND("\"schema_versio\\u006e\":1")) NO(AND("\"schema_versio\\u006e\":2"), VERSION)
	/* duplicate_key: at the name of the second */
	NO(AND(ID), DUPLICATE_KEY) NO(AND(TYPE), DUPLICATE_KEY) NO(AND(ORDER), DUPLICATE_KEY) NO(AND(CUSTOMER), DUPLICATE_KEY)
	NO(AND(TIME), DUPLICATE_KEY) NO(AND(CURRENCY), DUPLICATE_KEY) NO(AND(LINES), DUPLICATE_KEY)
	NO(AND("\"schema_version\":1,\"schema_version\":1"), DUPLICATE_KEY) NO(AND("\"event_id\":17"), DUPLICATE_KEY)
	NO(AND("\"\\u0065vent_id\":\"x\""), DUPLICATE_KEY) NO(AND("\"\\u0065\\u0076ent\\u005fid\":\"x\""), DUPLICATE_KEY)
	NO(WITH_SKU("\"sku\":\"a\",\"sku\":\"a\""), DUPLICATE_KEY) NO(WITH_SKU("\"sku\":\"a\",\"quantity\":1"), DUPLICATE_KEY)
	NO(WITH_SKU("\"name\":null,\"name\":null,\"sku\":\"a\""), DUPLICATE_KEY) NO(WITH_SKU("\"sku\":\"a\",\"\\u0073ku\":0"), DUPLICATE_KEY)
	NO(WITH_SKU("\"unit_price\":\"1\",\"sku\":\"a\""), DUPLICATE_KEY) NO(AND("\"lines\":7"), DUPLICATE_KEY)
	OK(WITH_LINE("{\"s\\u006bu\":\"a\",\"quantity\":6,\"unit_price\":\"2.55\"}"))
	/* missing */
	NO("{}", MISSING) NO(WITH_ID("\"x\":1"), MISSING) NO(WITH_TYPE("\"x\":1"), MISSING) NO(WITH_ORDER("\"x\":1"), MISSING)
	NO(WITH_CUSTOMER("\"x\":1"), MISSING) NO(WITH_TIME("\"x\":1"), MISSING) NO(WITH_CURRENCY("\"x\":1"), MISSING)
	NO(WITH_LINES("\"x\":1"), MISSING) NO(WITH_LINE("{}"), MISSING) NO(WITH_SKU("\"x\":1"), MISSING)
	NO(WITH_LINE("{\"sku\":\"a\",\"unit_price\":\"1\"}"), MISSING) NO(WITH_LINE("{\"sku\":\"a\",\"quantity\":1}"), MISSING)
	NO(WITH_LINE("{\"sku\":\"a\",\"quantity\":1}," LINE), MISSING) OK(WITH_CUSTOMER("\"customer_id\":null"))
	/* event_type */
	NO(WITH_TYPE("\"type\":\"\""), EVENT_TYPE) NO(WITH_TYPE("\"type\":\"order\""), EVENT_TYPE)
	NO(WITH_TYPE("\"type\":\"Order_placed\""), EVENT_TYPE) NO(WITH_TYPE("\"type\":\"order_placed \""), EVENT_TYPE)
	OK(WITH_TYPE("\"type\":\"order_refunded\"")) OK(WITH_TYPE("\"type\":\"order\\u005fplaced\""))
	NO(WITH_TYPE("\"type\":\"" B64 B64 B64 "\""), EVENT_TYPE)
	/* text: before the field's own rule */
	NO(WITH_ID("\"event_id\":\"a\\u0000\""), TEXT) NO(WITH_ID("\"event_id\":\"\\ud83d\""), TEXT)
	NO(WITH_ID("\"event_id\":\"\\ude00\\ud83d\""), TEXT) OK(WITH_ID("\"event_id\":\"\\ud83d\\ude00\""))
	NO(WITH_ID("\"event_id\":\"" B64 B64 "\\u0000\""), TEXT) NO(WITH_TYPE("\"type\":\"x\\u0000\""), TEXT)
	NO(WITH_ORDER("\"order_id\":\"\\udfff\""), TEXT) NO(WITH_CUSTOMER("\"customer_id\":\"\\u0000\""), TEXT)
	NO(WITH_TIME("\"event_time\":\"\\u0000\""), TEXT) NO(WITH_CURRENCY("\"currency\":\"GB\\u0000\""), TEXT)
	NO(WITH_SKU("\"sku\":\"\\ud800\""), TEXT) NO(WITH_PRICE("\"1\\u0000\""), TEXT) NO(WITH_NAME("\"\\udc00\""), TEXT)
	OK(AND("\"x\":\"\\u0000\\ud800\"")) OK(AND("\"\\u0000\":1")) OK(WITH_NAME("\"\\u0001\\t\""))
	/* size: of texts, in bytes of their meaning */
	NO(WITH_ID("\"event_id\":\"\""), SIZE) OK(WITH_ID("\"event_id\":\"" B64 "\"")) NO(WITH_ID("\"event_id\":\"" B64 "x\""), SIZE)
	OK(WITH_ID("\"event_id\":\"" E16 E16 E16 E16 "\"")) NO(WITH_ID("\"event_id\":\"" E16 E16 E16 E16 "x\""), SIZE)
	OK(WITH_ID("\"event_id\":\"" U16 U16 U16 U16 "\"")) NO(WITH_ID("\"event_id\":\"" U16 U16 U16 U16 "x\""), SIZE)
	NO(WITH_ORDER("\"order_id\":\"\""), SIZE) NO(WITH_ORDER("\"order_id\":\"" B64 "x\""), SIZE)
	NO(WITH_CUSTOMER("\"customer_id\":\"\""), SIZE) NO(WITH_CUSTOMER("\"customer_id\":\"" B64 "x\""), SIZE)
	NO(WITH_SKU("\"sku\":\"\""), SIZE) NO(WITH_SKU("\"sku\":\"" B64 "x\""), SIZE) OK(WITH_SKU("\"sku\":\"" B64 "\""))
	OK(WITH_NAME("\"\"")) OK(WITH_NAME("null")) OK(WITH_NAME("\"" B64 B64 B64 B64 "\"")) NO(WITH_NAME("\"" B64 B64 B64 B64 "x\""), SIZE)
	NO(WITH_LINES("\"lines\":[]"), SIZE) NO(WITH_LINES("\"lines\":[ ]"), SIZE)
	/* time, currency */
	NO(WITH_TIME("\"event_time\":\"\""), TIME) NO(WITH_TIME("\"event_time\":\"2010-12-01\""), TIME)
	NO(WITH_TIME("\"event_time\":\"2010-12-01T08:26:00\""), TIME) NO(WITH_TIME("\"event_time\":\"1979-12-31T23:59:59Z\""), TIME)
	OK(WITH_TIME("\"event_time\":\"2016-12-31T23:59:60Z\"")) NO(WITH_TIME("\"event_time\":\"2016-12-31T23:58:60Z\""), TIME)
	OK(WITH_TIME("\"event_time\":\"2010-12-01\\u005408:26:00Z\"")) OK(WITH_TIME("\"event_time\":\"2010-12-01t08:26:00z\""))
	NO(WITH_CURRENCY("\"currency\":\"\""), CURRENCY) NO(WITH_CURRENCY("\"currency\":\"gbp\""), CURRENCY)
	NO(WITH_CURRENCY("\"currency\":\"XAU\""), CURRENCY) NO(WITH_CURRENCY("\"currency\":\"GBPX\""), CURRENCY)
	OK(WITH_CURRENCY("\"currency\":\"\\u0047BP\"")) OK(WITH_CURRENCY("\"currency\":\"JPY\""))
	/* quantity */
	OK(WITH_QUANTITY("1")) OK(WITH_QUANTITY("1000000")) NO(WITH_QUANTITY("0"), QUANTITY) NO(WITH_QUANTITY("1000001"), QUANTITY)
	NO(WITH_QUANTITY("-1"), QUANTITY) NO(WITH_QUANTITY("-0"), QUANTITY) NO(WITH_QUANTITY("1.0"), QUANTITY)
	NO(WITH_QUANTITY("1e0"), QUANTITY) NO(WITH_QUANTITY("6.5"), QUANTITY) NO(WITH_QUANTITY("1e400"), QUANTITY)
	NO(WITH_QUANTITY("99999999999999999999999999"), QUANTITY) NO(WITH_QUANTITY("4294967297"), QUANTITY)
	NO(WITH_QUANTITY("18446744073709551617"), QUANTITY) NO(WITH_QUANTITY("10000000"), QUANTITY)
	/* amount */
	OK(WITH_PRICE("\"0\"")) OK(WITH_PRICE("\"0.0001\"")) NO(WITH_PRICE("\"\""), AMOUNT) NO(WITH_PRICE("\"-1\""), AMOUNT)
	NO(WITH_PRICE("\"1.00000\""), AMOUNT) NO(WITH_PRICE("\"1e2\""), AMOUNT) NO(WITH_PRICE("\"12345678901\""), AMOUNT)
	OK(WITH_PRICE("\"166666666.6666\"")) NO(WITH_PRICE("\"166666666.6667\""), AMOUNT) NO(WITH_PRICE("\"9999999999.9999\""), AMOUNT)
	OK(WITH_PRICE("\"\\u0032.5\"")) OK(WITH_LINE("{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"1000\"}"))
	NO(WITH_LINE("{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"1000.0001\"}"), AMOUNT)
	NO(WITH_LINE("{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"1000\"},{\"sku\":\"a\",\"quantity\":1,\"unit_price\":\"0.0001\"}"), AMOUNT)
	NO(WITH_LINE("{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"9999999999.9999\"}," LINE), AMOUNT)
	/* several: the first in the order of the text */
	NO("{\"event_id\":1,\"type\":\"x\"}", TYPE) NO("{\"type\":\"x\",\"event_id\":1}", EVENT_TYPE)
	NO("{\"currency\":\"x\",\"currency\":\"x\"}", CURRENCY) NO("{\"currency\":\"GBP\",\"currency\":\"x\",\"type\":1}", DUPLICATE_KEY)
	NO("{\"lines\":[{\"quantity\":0,\"unit_price\":1}]}", QUANTITY) NO("{\"lines\":[{\"unit_price\":\"x\",\"quantity\":0}]}", AMOUNT)
	NO("{\"lines\":[{},7]}", TYPE) NO("{\"lines\":[{}],\"currency\":\"x\"}", CURRENCY) NO("{\"lines\":[],\"currency\":\"x\"}", SIZE)
	NO("{\"schema_version\":2,\"lines\":[]}", VERSION) NO("{\"event_time\":\"\",\"schema_version\":2}", TIME)
	/* missing after all broken rules; the total last */
	NO("{\"currency\":\"x\"}", CURRENCY) NO("{\"lines\":[{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"9999999999\"}]}", MISSING)
	NO(WITH_LINES("\"lines\":[{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"9999999999\"}],\"schema_version\":7"), VERSION)
	NO(WITH_LINE("{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"9999999999\"},{}"), MISSING)
	NO(WITH_LINE("{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"9999999999\"},{\"name\":1}"), TYPE)
#undef OK
#undef NO
};
/* clang-format on */

static int setup(void **state)
{
	*state = event_parser_new();
	return 0;
}

static int teardown(void **state)
{
	event_parser_free(*state);
	event_parser_free(NULL);
	return 0;
}

/* From a copy without a byte to spare; what comes out may only be looked at while the copy lives. */
static enum event_reject parse(struct event_parser *parser, const char *value, size_t len)
{
	char *copy = malloc(len ? len : 1);
	const struct event *event;
	enum event_reject reject;

	assert_non_null(copy);
	memcpy(copy, value, len);
	reject = event_parse(parser, copy, len, &event);
	free(copy);
	return reject;
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum event_reject reject = parse(*state, cases[i].value, strlen(cases[i].value));

		if (reject != cases[i].reject)
			fail_msg("%s, not %s: %s", event_reject_code(reject),
				event_reject_code(cases[i].reject), cases[i].value);
	}
}

/* A valid event cut off at every byte, and damaged at every byte. */
static void test_truncation(void **state)
{
	static const char damage[] = "\x01\"\\{}[],:\x80\xff";
	const struct event *event;

	for (size_t len = 0; len < strlen(GOOD); len++)
		assert_int_equal(parse(*state, GOOD, len), EVENT_REJECT_JSON);
	for (size_t i = 0; i < strlen(GOOD); i++)
		for (size_t d = 0; d < sizeof(damage) - 1; d++) {
			char text[] = GOOD;

			text[i] = damage[d];
			parse(*state, text, strlen(GOOD));
		}
	assert_int_equal(event_parse(*state, NULL, 0, &event), EVENT_REJECT_JSON);
	assert_int_equal(event_parse(*state, "{}\0", 3, &event), EVENT_REJECT_JSON);
}

static void assert_text(struct text text, const char *expected)
{
	assert_non_null(text.at);
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.at, expected, text.len);
}

static void test_content(void **state)
{
	static const char value[] =
		"{\"lines\":[{\"name\":\"a\\tb\",\"unit_price\":\"2.55\",\"quantity\":6,\"sku\":\"8\\u00e9\"}"
		","
		"{\"unit_price\":\"0.125\",\"sku\":\"85123a\",\"quantity\":3,\"name\":null}," LINE
		"],\"currency\":\"EUR\","
		"\"event_time\":\"2010-12-01T08:26:00.1239+01:00\",\"customer_id\":null,\"order_id\":\"o\\/"
		"1\","
		"\"type\":\"order_refunded\",\"event_id\":\"\\ud83d\\ude00\"}";
	const struct event *event = NULL;

	assert_int_equal(event_parse(*state, value, sizeof(value) - 1, &event), EVENT_OK);
	assert_text(event->event_id, "\xf0\x9f\x98\x80");
	assert_text(event->order_id, "o/1");
	assert_null(event->customer_id.at);
	assert_int_equal(event->type, EVENT_REFUNDED);
	assert_int_equal(event->time_ms, 1291188360123);
	assert_string_equal(currency_code(event->currency), "EUR");
	assert_int_equal(event->total_e4, 153000 + 3750 + 153000);
	assert_int_equal(event->units, 15);
	assert_int_equal(event->n_lines, 3);
	assert_text(event->lines[0].sku, "8\xc3\xa9");
	assert_text(event->lines[0].name, "a\tb");
	assert_int_equal(event->lines[0].quantity, 6);
	assert_int_equal(event->lines[0].unit_price_e4, 25500);
	assert_text(event->lines[1].sku, "85123a");
	assert_null(event->lines[1].name.at);
	assert_int_equal(event->lines[1].unit_price_e4, 1250);
	assert_text(event->lines[2].name, "white holder");

	/* nothing of it is left in the next one, and texts without escapes are where they were */
	assert_int_equal(event_parse(*state, GOOD, strlen(GOOD), &event), EVENT_OK);
	assert_int_equal(event->type, EVENT_PLACED);
	assert_text(event->customer_id, "17850");
	assert_int_equal(event->n_lines, 1);
	assert_int_equal(event->total_e4, 153000);
	assert_int_equal(event->units, 6);

	/* a refused one leaves *ret_event alone */
	event = NULL;
	assert_int_equal(event_parse(*state, "{}", 2, &event), EVENT_REJECT_MISSING);
	assert_null(event);
}

/* head, then `n` times piece with commas, then tail; returns the length */
static size_t repeat(char *buf, const char *head, const char *piece, size_t n, const char *tail)
{
	char *at = buf;

	at = mempcpy(at, head, strlen(head));
	for (size_t i = 0; i < n; i++) {
		if (i)
			*at++ = ',';
		at = mempcpy(at, piece, strlen(piece));
	}
	at = mempcpy(at, tail, strlen(tail));
	return (size_t)(at - buf);
}

static void test_number_of_lines(void **state)
{
	static const char head[] =
		"{" ID "," TYPE "," ORDER "," CUSTOMER "," TIME "," CURRENCY ",\"lines\":[";
	/* clang-format off */
	static const struct {
		const char *piece;
		size_t n;
		const char *tail;
		enum event_reject reject;
	} counts[] = {
		{ LINE, 5000, "]}", EVENT_OK },
		{ LINE, 5001, "]}", EVENT_REJECT_SIZE },
		{ LINE, 5000, ",7]}", EVENT_REJECT_SIZE }, /* it is the 5,001st, whatever it is */
		{ LINE, 4999, ",7]}", EVENT_REJECT_TYPE },
		{ LINE, 5001, "]", EVENT_REJECT_JSON },
		{ "{}", 5000, "]}", EVENT_REJECT_MISSING },
		{ "{}", 5001, "]}", EVENT_REJECT_SIZE },
		{ "{}", 20000, "],\"type\":1}", EVENT_REJECT_SIZE },
		{ "{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"9999999999.9999\"}", 5000, "]}", EVENT_REJECT_AMOUNT },
		{ "{\"sku\":\"a\",\"quantity\":1000000,\"unit_price\":\"0.2\"}", 5000, "]}", EVENT_OK },
	};
	/* clang-format on */
	char *buf = malloc(EVENT_RECORD_MAX_BYTES);

	assert_non_null(buf);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t len = repeat(buf, head, counts[i].piece, counts[i].n, counts[i].tail);

		if (parse(*state, buf, len) != counts[i].reject)
			fail_msg("case %zu", i);
	}
	free(buf);
}

static void test_record_size(void **state)
{
	char *buf = malloc(EVENT_RECORD_MAX_BYTES + 1);
	const struct event *event;

	assert_non_null(buf);
	memset(buf, ' ', EVENT_RECORD_MAX_BYTES + 1);
	memcpy(buf, GOOD, strlen(GOOD));
	assert_int_equal(event_parse(*state, buf, EVENT_RECORD_MAX_BYTES, &event), EVENT_OK);
	assert_int_equal(event_parse(*state, buf, EVENT_RECORD_MAX_BYTES + 1, &event), EVENT_REJECT_SIZE);
	buf[0] = 'x'; /* not looked at */
	assert_int_equal(event_parse(*state, buf, EVENT_RECORD_MAX_BYTES + 1, &event), EVENT_REJECT_SIZE);
	assert_int_equal(event_parse(*state, buf, EVENT_RECORD_MAX_BYTES, &event), EVENT_REJECT_JSON);
	free(buf);
}

/* A record that is escapes from end to end: their meaning must fit. */
static void test_all_escaped(void **state)
{
	static const char head[] = "{\"event_id\":\"";
	char *buf = malloc(EVENT_RECORD_MAX_BYTES);
	const struct event *event;
	size_t len = strlen(head);

	assert_non_null(buf);
	memcpy(buf, head, len);
	for (; len + 4 < EVENT_RECORD_MAX_BYTES; len += 2)
		memcpy(buf + len, "\\n", 2);
	len += repeat(buf + len, "\"}", "", 0, "");
	assert_int_equal(event_parse(*state, buf, len, &event), EVENT_REJECT_SIZE);
	free(buf);
}

static void test_depth(void **state)
{
	/* clang-format off */
	static const struct {
		const char *before;
		size_t depth;
		bool closed;
		const char *after;
		enum event_reject reject;
	} depths[] = {
		{ "{\"x\":", 255, true, "," ID "}", EVENT_REJECT_MISSING },
		{ "{\"x\":", 256, true, "," ID "}", EVENT_REJECT_SIZE },
		{ "{\"x\":", 256, false, "", EVENT_REJECT_SIZE },   /* reading ends there */
		{ "{\"x\":", 255, false, "", EVENT_REJECT_JSON },
		{ "{\"x\":", 256, true, "]]]", EVENT_REJECT_SIZE }, /* broken behind it */
		{ "{\"x\"", 256, true, "}", EVENT_REJECT_JSON },    /* broken before it */
		{ "{\"type\":1,\"x\":", 256, true, "}", EVENT_REJECT_SIZE },
		{ "{\"type\":1,\"x\":", 255, true, "}", EVENT_REJECT_TYPE },
		{ "{\"lines\":[{\"sku\":", 254, true, "}]}", EVENT_REJECT_SIZE },
		{ "{\"lines\":[{\"sku\":", 253, true, "}]}", EVENT_REJECT_TYPE },
		{ "", 256, true, "", EVENT_REJECT_TYPE },
		{ "", 257, true, "", EVENT_REJECT_SIZE },
		{ "", 100000, false, "", EVENT_REJECT_SIZE },
	};
	/* clang-format on */
	char *buf = malloc(300000);

	assert_non_null(buf);
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		char *at = mempcpy(buf, depths[i].before, strlen(depths[i].before));

		memset(at, '[', depths[i].depth);
		at += depths[i].depth;
		if (depths[i].closed) {
			memset(at, ']', depths[i].depth);
			at += depths[i].depth;
		}
		at = mempcpy(at, depths[i].after, strlen(depths[i].after));
		if (parse(*state, buf, (size_t)(at - buf)) != depths[i].reject)
			fail_msg("case %zu", i);
	}
	free(buf);
}

static void test_codes(void **state)
{
	static const char *const codes[] = { "ok", "json", "size", "type", "duplicate_key", "missing",
		"version", "event_type", "text", "time", "currency", "quantity", "amount" };

	(void)state;
	assert_int_equal(ARRAY_SIZE(codes), EVENT_N_REJECTS);
	for (int i = 0; i < EVENT_N_REJECTS; i++)
		assert_string_equal(event_reject_code((enum event_reject)i), codes[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_number_of_lines),
		cmocka_unit_test(test_record_size),
		cmocka_unit_test(test_all_escaped),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests_name("event", tests, setup, teardown);
}
