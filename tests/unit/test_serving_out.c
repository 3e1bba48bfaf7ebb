#include "common/base.h"
#include "common/kernel/datetime.h"
#include "serving/body.h"
#include "serving/problem.h"
#include "tests/unit/unit.h"

static void assert_out(struct out *out, const char *expected)
{
	struct body *body = body_of_out(out);

	assert_non_null(body);
	assert_int_equal(body->len, strlen(expected));
	assert_memory_equal(body->data, expected, body->len);
	body_unref(body);
}

static void test_values(void **state)
{
	struct out out;

	(void)state;
	out_init(&out, 4096);
	out_open(&out, NULL, '{');
	out_string(&out, "a", "x");
	out_string(&out, "none", NULL);
	out_int(&out, "b", INT64_MIN);
	out_open(&out, "c", '[');
	out_bool(&out, NULL, true);
	out_bool(&out, NULL, false);
	out_open(&out, NULL, '{');
	out_close(&out, '}');
	out_open(&out, NULL, '[');
	out_close(&out, ']');
	out_close(&out, ']');
	out_money(&out, "d", -50000000, 2);
	out_time(&out, "e", DATETIME_NONE);
	out_time(&out, "f", INT64_C(1795428000120));
	out_second(&out, "g", INT64_C(1795428000120));
	out_date(&out, "h", 20780);
	out_close(&out, '}');
	assert_out(&out, "{\"a\":\"x\",\"none\":null,\"b\":-9223372036854775808,\"c\":[true,false,{},[]],"
			 "\"d\":\"-5000.00\","
			 "\"e\":null,\"f\":\"2026-11-23T10:00:00.120Z\",\"g\":\"2026-11-23T10:00:00Z\",\"h\":"
			 "\"2026-11-23\"}");
}

static void test_seconds(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = { { 0, "0.0" }, { 20, "0.02" }, { 100, "0.1" }, { 1000, "1.0" }, { 1234, "1.234" },
		{ 60000, "60.0" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct out out;

		out_init(&out, 100);
		out_seconds(&out, NULL, cases[i].ms);
		assert_out(&out, cases[i].text);
	}
}

static void test_text(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{ "", "\"\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\n\t\x01\x7f", "\"\\u000a\\u0009\\u0001\\u007f\"" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
			"\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		{ "\xff"
		  "a\xc3",
			"\"\xef\xbf\xbd"
			"a\xef\xbf\xbd\"" },
		{ "\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct out out;

		out_init(&out, 100);
		out_string(&out, NULL, cases[i].text);
		assert_out(&out, cases[i].json);
	}
}

static void test_limit(void **state)
{
	struct out out;

	(void)state;
	out_init(&out, 10);
	out_string(&out, NULL, "12345678");
	assert_out(&out, "\"12345678\"");
	out_init(&out, 10);
	out_string(&out, NULL, "123456789");
	assert_null(body_of_out(&out));
	out_init(&out, 3000);
	for (int i = 0; i < 1000; i++)
		out_int(&out, NULL, 1000 + i);
	assert_null(body_of_out(&out));
}

static void test_etag(void **state)
{
	struct body *a, *b, *c;
	struct out out;
	size_t alive = body_bytes_alive();

	(void)state;
	out_init(&out, 100);
	out_int(&out, NULL, 1);
	a = body_of_out(&out);
	out_init(&out, 100);
	out_int(&out, NULL, 1);
	b = body_of_out(&out);
	out_init(&out, 100);
	out_int(&out, NULL, 2);
	c = body_of_out(&out);
	assert_string_equal(a->etag, b->etag);
	assert_string_not_equal(a->etag, c->etag);
	assert_int_equal(strlen(a->etag), 34);
	assert_int_equal(body_bytes_alive(), alive + 3);
	body_unref(body_ref(a));
	body_unref(a);
	body_unref(b);
	body_unref(c);
	assert_int_equal(body_bytes_alive(), alive);
}

static void test_problem(void **state)
{
	static const char expected[] = "{\"type\":\"about:blank\",\"title\":\"Bad "
				       "Request\",\"status\":400,\"detail\":\"x: '\\\"' 7\"}";
	struct problem problem;
	struct body *body;

	(void)state;
	assert_int_equal(problem_set(&problem, 400, "x: '%s' %d", "\"", 7), -1);
	body = problem_body(&problem);
	assert_int_equal(body->len, strlen(expected));
	assert_memory_equal(body->data, expected, body->len);
	body_unref(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_etag),
		cmocka_unit_test(test_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
