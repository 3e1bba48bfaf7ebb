#include "common/base.h"
#include "common/kernel/json.h"
#include "tests/unit/unit.h"

/* A copy without a byte to spare, so that the address sanitizer sees every read beyond the end. */
static enum json_token drain(const char *at, size_t len)
{
	char *copy = len ? malloc(len) : NULL;
	struct json json;
	enum json_token token;

	if (copy)
		memcpy(copy, at, len);
	json_init(&json, copy, len);
	token = json_drain(&json);
	free(copy);
	return token;
}

#define GOOD(literal) \
	{ \
		literal, sizeof(literal) - 1, JSON_END \
	}
#define BAD(literal) \
	{ \
		literal, sizeof(literal) - 1, JSON_BROKEN \
	}

/* clang-format off */
static const struct {
	const char *at;
	size_t len;
	enum json_token result;
} texts[] = {
	GOOD("{}"), GOOD("[]"), GOOD("null"), GOOD("true"), GOOD("false"), GOOD("\"\""), GOOD("0"), GOOD(" \t\r\n[ ] \n"),
	GOOD("[1,2,[3,{\"a\":[]}],{}]"), GOOD("{\"a\":1,\"a\":2,\"\":{\"b\":null}}"), GOOD("{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }"),
	BAD(""), BAD(" "), BAD("\0"), BAD("{}\0"), BAD("\xef\xbb\xbf{}"), BAD("{} {}"), BAD("{}x"), BAD("{},"), BAD("1 2"),
	BAD("{"), BAD("["), BAD("}"), BAD("]"), BAD("{]"), BAD("[}"), BAD("[1}"), BAD("{\"a\":1]"), BAD("[1,]"), BAD("[,1]"),
	BAD("[1 2]"), BAD("[,]"), BAD("{,}"), BAD("{\"a\"}"), BAD("{\"a\":}"), BAD("{\"a\":1,}"), BAD("{\"a\" 1}"), BAD("{:1}"),
	BAD("{\"a\"::1}"), BAD("{\"a\":1 \"b\":2}"), BAD("{a:1}"), BAD("{'a':1}"), BAD("{1:1}"), BAD("{null:1}"), BAD("[1,,2]"),
	BAD("[\"a\":1]"), BAD("//\n{}"), BAD("/**/{}"), BAD("\v{}"), BAD("\f{}"), BAD("\xc2\xa0{}"), BAD("[\x01]"),
	/* words */
	BAD("nul"), BAD("nulll"), BAD("True"), BAD("tru"), BAD("falsey"), BAD("fals"), BAD("NaN"), BAD("Infinity"), BAD("undefined"),
	/* numbers */
	GOOD("-0"), GOOD("-0.0e-0"), GOOD("1e400"), GOOD("-1E+400"), GOOD("0.1"), GOOD("10"), GOOD("1.0e5"), GOOD("0e1"),
	GOOD("123456789012345678901234567890123456789012345678901234567890"), GOOD("[0,-1,2.5]"), GOOD("1e0000000001"),
	BAD("-"), BAD("+1"), BAD("01"), BAD("-01"), BAD("00"), BAD("1."), BAD(".1"), BAD("-.1"), BAD("1.e1"), BAD("1e"), BAD("1e+"),
	BAD("1E-"), BAD("1e1.5"), BAD("0x1"), BAD("1_000"), BAD("1a"), BAD("--1"), BAD("1-1"), BAD("1.1.1"), BAD("-a"),
	/* strings and escapes */
	GOOD("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uABCD\\uabcd\""), GOOD("\"\\ud83d\\ude00\""), GOOD("\"\\ud83d\""),
	GOOD("\"\\ude00\""), GOOD("\"\\ud83d\\ud83d\""), GOOD("\"\\ud83dx\""), GOOD("\"\\ud83d\\n\""), GOOD("\"\x7f\""),
	BAD("\""), BAD("\"a"), BAD("\"\\\""), BAD("\"\\"), BAD("\"\\a\""), BAD("\"\\'\""), BAD("\"\\U0041\""), BAD("\"\\x41\""),
	BAD("\"\\\0\""), BAD("\"\\u\""), BAD("\"\\u1\""), BAD("\"\\u12\""), BAD("\"\\u123\""), BAD("\"\\u123g\""), BAD("\"\\u 123\""),
	BAD("\"\\u-123\""), BAD("\"\\u123"), BAD("\"\\u1234"), BAD("\"\\ud83d\\u\""), BAD("\"\\ud83d\\ude0\""), BAD("\"\\ud83d\\"),
	BAD("\"\\ud83d\\u12"), BAD("\"\0\""), BAD("\"\x1f\""), BAD("\"\n\""), BAD("\"\t\""), BAD("\"\r\""), BAD("'a'"),
	BAD("\"0123456789abcdef\x01\""), BAD("\"0123456789abcde\n0123456789abcdef\""), GOOD("\"0123456789abcdef0123456789abcdef\""),
	/* UTF-8 (RFC 3629) */
	GOOD("\"\xc2\x80\""), GOOD("\"\xdf\xbf\""), GOOD("\"\xe0\xa0\x80\""), GOOD("\"\xed\x9f\xbf\""), GOOD("\"\xee\x80\x80\""),
	GOOD("\"\xef\xbf\xbf\""), GOOD("\"\xf0\x90\x80\x80\""), GOOD("\"\xf4\x8f\xbf\xbf\""), GOOD("\"\xef\xbb\xbf\""),
	GOOD("\"0123456789abcde\xc3\xa9 0123456789abcdef\""),
	BAD("\"\x80\""), BAD("\"\xbf\""), BAD("\"\xc0\x80\""), BAD("\"\xc1\xbf\""), BAD("\"\xc2\""), BAD("\"\xc2"), BAD("\"\xc2\xc2\""),
	BAD("\"\xe0\x80\x80\""), BAD("\"\xe0\x9f\xbf\""), BAD("\"\xe1\x80\""), BAD("\"\xe1\x80"), BAD("\"\xe1\x80\xc0\""),
	BAD("\"\xed\xa0\x80\""), BAD("\"\xed\xbf\xbf\""), BAD("\"\xed\xa0\xbd\xed\xb8\x80\""), BAD("\"\xf0\x80\x80\x80\""),
	BAD("\"\xf0\x8f\xbf\xbf\""), BAD("\"\xf0\x90\x80\""), BAD("\"\xf0\x90\x80"), BAD("\"\xf4\x90\x80\x80\""),
	BAD("\"\xf5\x80\x80\x80\""), BAD("\"\xf8\x88\x80\x80\x80\""), BAD("\"\xfe\""), BAD("\"\xff\""), BAD("{\"\xff\":1}"),
	BAD("\xff"), BAD("[\xc3\xa9]"), BAD("{\"a\"\xc3\xa9:1}"),
};
/* clang-format on */

static void test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (drain(texts[i].at, texts[i].len) != texts[i].result)
			fail_msg("%zu: '%s'", i, texts[i].at);
}

/* The same string at every distance from the end and from the start of a block of 16 bytes. */
static void test_every_alignment(void **state)
{
	static const char *const bad[] = { "\x01", "\x1f", "\\a", "\x80", "\xff", "\xc3", "\xed\xa0\x80" };
	static const char *const good[] = { "x", "\\n", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
		"\\u00e9", "\x7f" };

	(void)state;
	for (size_t before = 0; before < 40; before++)
		for (size_t after = 0; after < 40; after++)
			for (size_t i = 0; i < ARRAY_SIZE(bad) + ARRAY_SIZE(good); i++) {
				bool is_good = i >= ARRAY_SIZE(bad);
				const char *middle = is_good ? good[i - ARRAY_SIZE(bad)] : bad[i];
				char text[128];
				int len = snprintf(text, sizeof(text), "\"%.*s%s%.*s\"", (int)before,
					"........................................", middle, (int)after,
					"........................................");

				assert_int_equal(drain(text, (size_t)len), is_good ? JSON_END : JSON_BROKEN);
			}
}

static void test_truncation(void **state)
{
	static const char text[] =
		"{\"a\":[1.5e+3,\"x\\u00e9\\ud83d\\ude00\xc3\xa9\",true,false,null,{\"b\":{}}],\"c\":\"d\"}";

	(void)state;
	assert_int_equal(drain(text, sizeof(text) - 1), JSON_END);
	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_int_equal(drain(text, len), JSON_BROKEN);
}

static void test_depth(void **state)
{
	enum { DEEP = 300000 };
	char *text = malloc(2 * DEEP);

	(void)state;
	assert_non_null(text);
	memset(text, '[', DEEP);
	memset(text + DEEP, ']', DEEP);
	assert_int_equal(drain(text + DEEP - 256, 512), JSON_END);
	assert_int_equal(drain(text + DEEP - 256, 511), JSON_BROKEN);
	assert_int_equal(drain(text + DEEP - 257, 514), JSON_TOO_DEEP);
	assert_int_equal(drain(text, 2 * DEEP), JSON_TOO_DEEP);
	for (size_t i = 0; i < 257; i++)
		memcpy(text + i * 5, "{\"a\":", 5);
	assert_int_equal(drain(text, 256 * 5), JSON_BROKEN);
	assert_int_equal(drain(text, 257 * 5), JSON_TOO_DEEP);
	text[3] = 'x'; /* broken before it is too deep */
	assert_int_equal(drain(text, 257 * 5), JSON_BROKEN);
	free(text);
}

static void test_walk(void **state)
{
	static const char text[] = " { \"k\\u0065y\" : [ 12 , \"v\" , { } ] , \"skip\" : "
				   "{\"x\":[1,{\"y\":\"}\"}]} , \"n\" : null } ";
	struct json json;
	char meaning[16];

	(void)state;
	json_init(&json, text, sizeof(text) - 1);
	assert_int_equal(json_value(&json), JSON_OBJECT);
	assert_int_equal(json_member(&json), JSON_KEY);
	assert_true(json.escaped);
	assert_int_equal(json_unescape(json.text, meaning), 3);
	assert_memory_equal(meaning, "key", 3);
	assert_int_equal(json_value(&json), JSON_ARRAY);
	assert_int_equal(json_element(&json), JSON_NUMBER);
	assert_int_equal(json.text.len, 2);
	assert_memory_equal(json.text.at, "12", 2);
	assert_int_equal(json_element(&json), JSON_STRING);
	assert_false(json.escaped);
	assert_memory_equal(json.text.at, "v", 1);
	assert_int_equal(json_element(&json), JSON_OBJECT);
	assert_int_equal(json_member(&json), JSON_END);
	assert_int_equal(json_element(&json), JSON_END);
	assert_int_equal(json_member(&json), JSON_KEY);
	json_skip(&json);
	assert_int_equal(json_member(&json), JSON_KEY);
	assert_memory_equal(json.text.at, "n", 1);
	assert_int_equal(json_value(&json), JSON_NULL);
	assert_int_equal(json_member(&json), JSON_END);
	assert_int_equal(json.depth, 0);
	assert_int_equal(json_drain(&json), JSON_END);
}

static void test_failure_stays(void **state)
{
	struct json json;

	(void)state;
	json_init(&json, "[1,}", 4);
	assert_int_equal(json_value(&json), JSON_ARRAY);
	assert_int_equal(json_element(&json), JSON_NUMBER);
	assert_int_equal(json_element(&json), JSON_BROKEN);
	assert_int_equal(json_element(&json), JSON_BROKEN);
	assert_int_equal(json_member(&json), JSON_BROKEN);
	assert_int_equal(json_value(&json), JSON_BROKEN);
	json_skip(&json);
	assert_int_equal(json_drain(&json), JSON_BROKEN);
}

static void test_unescape(void **state)
{
	/* clang-format off */
	static const struct {
		const char *raw, *meaning;
		bool unstorable;
	} cases[] = {
		{ "plain", "plain", false }, { "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", false },
		{ "\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac", false }, { "\\u007f\\u0080\\u07ff\\u0800", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80", false },
		{ "\\uD83D\\uDE00!", "\xf0\x9f\x98\x80!", false }, { "\\ud800\\udc00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", false },
		{ "\xc3\xa9\\u0001", "\xc3\xa9\x01", false }, { "\\uffff", "\xef\xbf\xbf", false },
		{ "\\u0000", NULL, true }, { "\\ud83d", NULL, true }, { "\\ude00\\ud83d", NULL, true }, { "\\ud83d\\ud83d\\ude00", NULL, true },
		{ "\\ud83d\\u0041", NULL, true }, { "\\ud83dxxxxxxxx", NULL, true }, { "a\\ude00b", NULL, true }, { "\\uD83D\\uDE00\\uDE00", NULL, true },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json json;
		char text[64], meaning[64];
		int len = snprintf(text, sizeof(text), "\"%s\"", cases[i].raw);

		json_init(&json, text, (size_t)len);
		assert_int_equal(json_value(&json), JSON_STRING);
		assert_int_equal(json.unstorable, cases[i].unstorable);
		if (cases[i].unstorable)
			continue;
		assert_int_equal(json_unescape(json.text, meaning), strlen(cases[i].meaning));
		assert_memory_equal(meaning, cases[i].meaning, strlen(cases[i].meaning));
	}
}

/* Random changes of a good text must neither crash nor read out of bounds (the sanitizers look). */
static void test_random_damage(void **state)
{
	static const char good[] =
		"{\"a\":[1.5e+3,\"x\\u00e9\\ud83d\\ude00\xc3\xa9\",true,false,null,{\"b\":{}}],\"c\":\"d\"}";
	static const char pieces[] = "{}[]\",:\\u0d8f.-+eE \n\x01\x80\xc3\xed\xf0\xff";
	struct unit_random random = { unit_seed(__func__) };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char text[sizeof(good)];

		memcpy(text, good, sizeof(good));
		for (int64_t n = unit_random_below(&random, 4); n >= 0; n--)
			text[unit_random_below(&random, sizeof(good) - 1)] =
				pieces[unit_random_below(&random, sizeof(pieces) - 1)];
		drain(text, (size_t)unit_random_below(&random, sizeof(good)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_every_alignment),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_failure_stays),
		cmocka_unit_test(test_unescape),
		cmocka_unit_test(test_random_damage),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
