#include "common/base.h"
#include "serving/http.h"
#include "tests/unit/unit.h"

#define HOST "Host: a\r\n"

/* status: 0 whole request, 1 more is needed, else it is refused with that status. */
static const struct {
	const char *head;
	int status;
} cases[] = {
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.0\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
	{ "GET / HTTP/1.2\r\n" HOST "\r\n", 0 },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
	{ "GET / http/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /\r\n\r\n", 400 },
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 400 },
	{ " GET / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "HEAD / HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "OPTIONS / HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET * HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", 0 },
	{ "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "get / HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "BREW / HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "G\"T / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", 413 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", 413 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: +0\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n: a\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "X: a\tb \xe4\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n" HOST "Authorization: Bearer a\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n" HOST "Authorization: Bearer a\r\nAuthorization: Bearer a\r\n\r\n", 400 },
	{ "GET /%41 HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET /%4 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /%zz HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /% HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /a\"b HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET http://h:80/a?b HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET http:///a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "POST http://h:80/a?b HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "POST * HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "DELETE a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET ftp://h/a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "", 1 },
	{ "GET / HTTP/1.1\r\n" HOST, 1 },
};

static enum http_result parse(const char *head, size_t len, struct http_request *request, size_t *consumed,
	struct http_refusal *refusal)
{
	struct http_parser parser = { 0 };

	return http_parse(&parser, head, len, request, consumed, refusal);
}

static int status_of(enum http_result result, const struct http_refusal *refusal)
{
	return result == HTTP_DONE ? 0 : result == HTTP_MORE ? 1 : refusal->status;
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_request request;
		struct http_refusal refusal = { 0 };
		size_t consumed = 0, len = strlen(cases[i].head);
		int status = status_of(parse(cases[i].head, len, &request, &consumed, &refusal), &refusal);

		if (status != cases[i].status)
			fail_msg("case %zu gave %d (%s): %s", i, status, refusal.detail ? refusal.detail : "",
				cases[i].head);
		if (!status)
			assert_int_equal(consumed, len);
	}
}

/* Byte by byte the outcome is the same, and never earlier than at the end for a good one. Each byte in memory
 * of its own length, so that a sanitizer sees every read beyond it. */
static void test_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].head), consumed = 0;
		struct http_parser parser = { 0 };
		struct http_request request;
		struct http_refusal refusal = { 0 };
		enum http_result result = HTTP_MORE;

		for (size_t n = 1; n <= len && result == HTTP_MORE; n++) {
			char *copy = malloc(n);

			assert_non_null(copy);
			memcpy(copy, cases[i].head, n);
			result = http_parse(&parser, copy, n, &request, &consumed, &refusal);
			if (result == HTTP_DONE)
				assert_int_equal(n, len);
			free(copy);
		}
		if (status_of(result, &refusal) != cases[i].status)
			fail_msg("case %zu gave %d byte by byte", i, status_of(result, &refusal));
	}
}

static void assert_text(struct text text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.at, expected, text.len);
}

static void test_fields(void **state)
{
	static const char head[] =
		"HEAD http://h/a/b?x=1&y=%20 HTTP/1.1\r\nhOST: h\r\nOrigin: \t https://o \r\n"
		"If-None-Match: \"a\", W/\"b\"\r\nIf-None-Match: \"c\"\r\nConnection: foo, Close\r\n\r\nGET";
	struct http_request request;
	struct http_refusal refusal;
	size_t consumed;

	(void)state;
	assert_int_equal(parse(head, sizeof(head) - 1, &request, &consumed, &refusal), HTTP_DONE);
	assert_int_equal(consumed, sizeof(head) - 4);
	assert_int_equal(request.method, HTTP_HEAD);
	assert_text(request.path, "/a/b");
	assert_text(request.query, "x=1&y=%20");
	assert_text(request.origin, "https://o");
	assert_false(request.keep_alive);
	assert_true(http_none_match(&request, "\"a\""));
	assert_true(http_none_match(&request, "\"b\""));
	assert_true(http_none_match(&request, "\"c\""));
	assert_false(http_none_match(&request, "\"d\""));
	assert_false(http_none_match(&request, "a"));
}

static void test_keep_alive(void **state)
{
	static const struct {
		const char *head;
		bool keep;
	} keeps[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", true },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", false },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", true },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keeps); i++) {
		struct http_request request;
		struct http_refusal refusal;
		size_t consumed;

		assert_int_equal(parse(keeps[i].head, strlen(keeps[i].head), &request, &consumed, &refusal),
			HTTP_DONE);
		assert_int_equal(request.keep_alive, keeps[i].keep);
	}
}

static void test_limits(void **state)
{
	static char head[3 * HTTP_HEAD_MAX];
	struct http_request request;
	struct http_refusal refusal = { 0 };
	size_t consumed, len;

	(void)state;
	len = (size_t)snprintf(head, sizeof(head), "GET /");
	memset(head + len, 'a', sizeof(head) - len);
	assert_int_equal(parse(head, HTTP_LINE_MAX, &request, &consumed, &refusal), HTTP_MORE);
	assert_int_equal(parse(head, HTTP_LINE_MAX + 1, &request, &consumed, &refusal), HTTP_REFUSED);
	assert_int_equal(refusal.status, 414);
	len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nX: ");
	head[len] = 'a';
	assert_int_equal(parse(head, HTTP_HEAD_MAX, &request, &consumed, &refusal), HTTP_MORE);
	assert_int_equal(parse(head, HTTP_HEAD_MAX + 1, &request, &consumed, &refusal), HTTP_REFUSED);
	assert_int_equal(refusal.status, 431);
	len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		len += (size_t)snprintf(head + len, sizeof(head) - len, "X: y\r\n");
	len += (size_t)snprintf(head + len, sizeof(head) - len, "\r\n");
	assert_int_equal(parse(head, len, &request, &consumed, &refusal), HTTP_REFUSED);
	assert_int_equal(refusal.status, 431);
	assert_int_equal(parse("GET / HTTP/1.1\r\n\0", 17, &request, &consumed, &refusal), HTTP_REFUSED);
	assert_int_equal(refusal.status, 400);
}

static void test_decode(void **state)
{
	char buf[8];

	(void)state;
	assert_int_equal(http_decode(UNIT_TEXT("a%2Fb+c"), true, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "a/b c");
	assert_int_equal(http_decode(UNIT_TEXT("a+b"), false, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "a+b");
	assert_int_equal(http_decode(UNIT_TEXT("a%00b"), false, buf, sizeof(buf)), -1);
	assert_int_equal(http_decode(UNIT_TEXT("1234567"), false, buf, sizeof(buf)), 7);
	assert_int_equal(http_decode(UNIT_TEXT("12345678"), false, buf, sizeof(buf)), -1);
	assert_int_equal(http_decode(UNIT_TEXT(""), false, buf, sizeof(buf)), 0);
}

/* Random changes to good requests: nothing but an orderly outcome, within the bytes that are there. */
static void test_random(void **state)
{
	struct unit_random random = { unit_seed("http") };

	(void)state;
	for (int round = 0; round < 20000; round++) {
		const char *base = cases[unit_random_below(&random, ARRAY_SIZE(cases))].head;
		size_t len = strlen(base), consumed = 0;
		char *copy = strndup(base, len);
		struct http_request request;
		struct http_refusal refusal = { 0 };
		enum http_result result;

		assert_non_null(copy);
		for (int i = 0; len && i < 3; i++)
			copy[unit_random_below(&random, (int64_t)len)] = (char)unit_random_next(&random);
		result = parse(copy, len, &request, &consumed, &refusal);
		if (result == HTTP_DONE) {
			assert_true(consumed <= len);
			assert_true(request.path.len > 0);
		} else if (result == HTTP_REFUSED) {
			assert_string_not_equal(http_reason(refusal.status), "Unknown");
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
