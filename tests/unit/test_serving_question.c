#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "serving/question.h"
#include "tests/unit/unit.h"

/* detail: a piece of what the problem must say */
static void test_wrong(void **state)
{
	static const struct {
		const char *path, *query;
		int status;
		const char *detail;
	} cases[] = {
		{ "/", NULL, 404, "see /v1" },
		{ "/v1/", NULL, 404, "'/v1/'" },
		{ "/v2/revenue", NULL, 404, "nothing" },
		{ "/v1/revenue/", NULL, 404, "nothing" },
		{ "/v1/revenue/today/", NULL, 404, "nothing" },
		{ "/revenue/2011-11-30", NULL, 404, "nothing" },
		{ "/v1/revenue/2011-13-01", NULL, 400, "'2011-13-01' is no date; expected YYYY-MM-DD" },
		{ "/v1/revenue/2011-02-29", NULL, 400, "no date" },
		{ "/v1/revenue/20111130", NULL, 400, "no date" },
		{ "/v1/revenue/1979-12-31", NULL, 400, "1980" },
		{ "/v1/revenue/Today", NULL, 400, "no date" },
		{ "/v1/revenue/today", "from=2011-01-01", 400,
			"'from' is not a parameter of this path; it takes currency, view" },
		{ "/v1/revenue/today", "currency=gbp", 400, "'gbp' is not a currency" },
		{ "/v1/revenue/today", "currency=XXX", 400, "ISO 4217" },
		{ "/v1/revenue/today", "currency=", 400, "currency" },
		{ "/v1/revenue/today", "currency", 400, "has no value" },
		{ "/v1/revenue/today", "currency=GBP&currency=GBP", 400, "given twice" },
		{ "/v1/revenue/today", "view=all", 400, "merged, batch, speed or kappa" },
		{ "/v1/revenue/today", "foo=1", 400, "'foo'" },
		{ "/v1/revenue", NULL, 400, "from: is missing" },
		{ "/v1/revenue", "from=2011-01-01", 400, "to: is missing" },
		{ "/v1/revenue", "to=2011-01-01", 400, "from: is missing" },
		{ "/v1/revenue", "from=2011-01-02&to=2011-01-01", 400, "behind" },
		{ "/v1/revenue", "from=2001-01-01&to=2011-01-09", 400, "3661 days" },
		{ "/v1/revenue", "from=2011-01-01&to=2011-01-02&step=hour", 400, "expected day" },
		{ "/v1/revenue", "from=20110101&to=2011-01-02", 400, "from: '20110101'" },
		{ "/v1/products/top", "by=price", 400, "net or units" },
		{ "/v1/products/top", "limit=0", 400, "1 to 1000" },
		{ "/v1/products/top", "limit=1001", 400, "1 to 1000" },
		{ "/v1/products/top", "limit=1e2", 400, "1 to 1000" },
		{ "/v1/products/top", "limit=", 400, "1 to 1000" },
		{ "/v1/products/top", "limit=00000001", 400, "1 to 1000" },
		{ "/metrics", "x=1", 400, "takes none" },
		{ "/v1/late", "date=x", 400, "date: 'x'" },
		{ "/v1/late", "from=2011-01-01", 400, "date, currency, view" },
		{ "/v1/customers/", NULL, 400, "1 to 64 bytes" },
		{ "/v1/customers", NULL, 404, "nothing" },
		{ "/v1/customers/a/b", NULL, 404, "nothing" },
		{ "/v1/customers/c1", "window=1h", 400, "currency" },
		{ "/v1/segments", "view=batch", 400, "currency" },
		{ "/v1/customers/a/b/orders", NULL, 404, "nothing" },
		{ "/v1/customers//orders", NULL, 400, "1 to 64 bytes" },
		{ "/v1/customers/%ff/orders", NULL, 400, "UTF-8" },
		{ "/v1/customers/%c0%80/orders", NULL, 400, "UTF-8" },
		{ "/v1/customers/%ed%a0%80/orders", NULL, 400, "UTF-8" },
		{ "/v1/customers/%00/orders", NULL, 400, "UTF-8" },
		{ "/v1/customers/%4/orders", NULL, 400, "UTF-8" },
		{ "/v1/customers/0123456789012345678901234567890123456789012345678901234567890123x/orders",
			NULL, 400, "1 to 64 bytes" },
		{ "/v1/customers/c/orders", "window=49h", 400, "1h to 48h" },
		{ "/v1/customers/c/orders", "window=59min", 400, "60min to 2880min" },
		{ "/v1/customers/c/orders", "window=24", 400, "window: '24'" },
		{ "/v1/customers/c/orders", "window=h", 400, "window" },
		{ "/v1/customers/c/orders", "window=-1h", 400, "window" },
		{ "/v1/customers/c/orders", "window=99999h", 400, "window" },
		{ "/v1/customers/c/orders", "date=2011-01-01", 400, "currency, view, window" },
		{ "/v1/corrections", NULL, 400, "from: is missing" },
		{ "/v1/corrections", "from=2011-01-02&to=2011-01-01", 400, "behind" },
		{ "/v1/corrections", "from=2001-01-01&to=2011-01-09", 400, "3661 days" },
		{ "/v1/corrections", "from=2011-01-01&to=2011-01-02&view=batch", 400, "from, to, currency" },
		{ "/v1/runs", "limit=0", 400, "1 to 1000" },
		{ "/v1/runs", "before=0", 400, "before: '0' is no number of a run" },
		{ "/v1/runs", "before=", 400, "no number" },
		{ "/v1/runs", "before=1234567890123456", 400, "no number" },
		{ "/v1/runs", "currency=GBP", 400, "limit, before" },
		{ "/v1/runs/", NULL, 404, "nothing" },
		{ "/v1/runs/0", NULL, 400, "path: '0' is no number of a run" },
		{ "/v1/runs/-1", NULL, 400, "no number" },
		{ "/v1/runs/01", NULL, 400, "no number" },
		{ "/v1/runs/1x", NULL, 400, "no number" },
		{ "/v1/runs/1/cuts", NULL, 404, "nothing" },
		{ "/v1/runs/1", "limit=1", 400, "takes none" },
		{ "/v1/status", "x=1", 400, "takes none" },
		{ "/livez", "currency=GBP", 400, "takes none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct question question;
		struct problem problem = { 0 };
		struct text query = cases[i].query ? unit_text(cases[i].query) : (struct text){ 0 };
		int result = question_parse(unit_text(cases[i].path), query, &question, &problem);

		if (result != -1 || problem.status != cases[i].status ||
			!strstr(problem.detail, cases[i].detail))
			fail_msg("%s?%s gave %d, %d '%s'", cases[i].path,
				cases[i].query ? cases[i].query : "", result, problem.status, problem.detail);
	}
}

static struct question parse(const char *path, const char *query)
{
	struct question question;
	struct problem problem = { 0 };

	if (question_parse(
		    unit_text(path), query ? unit_text(query) : (struct text){ 0 }, &question, &problem))
		fail_msg("%s?%s gave '%s'", path, query ? query : "", problem.detail);
	return question;
}

/* A customer's id may hold anything that UTF-8 can. */
static void test_customer(void **state)
{
	static const struct {
		const char *path, *query, *customer;
		int minutes;
	} cases[] = {
		{ "/v1/customers/c1/orders", NULL, "c1", 1440 },
		{ "/v1/customers/a%2Fb/orders", "window=1h", "a/b", 60 },
		{ "/v1/customers/a+b%20c/orders", "window=48h", "a+b c", 2880 },
		{ "/v1/customers/%E6%97%A5%F0%9F%98%80/orders", "window=61min",
			"\xe6\x97\xa5\xf0\x9f\x98\x80", 61 },
		{ "/v1/customers/orders/orders", NULL, "orders", 1440 },
		{ "/v1/customers/..%2F..%2Fetc/orders", NULL, "../../etc", 1440 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct question q = parse(cases[i].path, cases[i].query);

		assert_int_equal(q.route, QUESTION_CUSTOMER);
		assert_string_equal(q.customer, cases[i].customer);
		assert_int_equal(q.window_minutes, cases[i].minutes);
	}
}

static void test_right(void **state)
{
	struct question q;

	(void)state;
	q = parse("/v1/revenue/today", NULL);
	assert_true(q.route == QUESTION_DAY && q.today && q.currency == -1 && q.view == QUESTION_MERGED);
	q = parse("/revenue/today", "view=speed&currency=GBP");
	assert_true(q.route == QUESTION_DAY && q.today && q.view == QUESTION_SPEED);
	assert_string_equal(currency_code(q.currency), "GBP");
	q = parse("/v1/revenue/2011%2d11-30", "&&view=%62atch&");
	assert_true(q.route == QUESTION_DAY && !q.today && q.view == QUESTION_BATCH);
	assert_int_equal(q.from, date_from_civil(2011, 11, 30));
	assert_int_equal(q.to, q.from);
	q = parse("/v1/revenue", "to=2011-01-08&from=2001-01-01&step=day");
	assert_true(q.route == QUESTION_RANGE && q.to - q.from == QUESTION_DAYS_MAX - 1);
	q = parse("/v1/products/top", NULL);
	assert_true(q.route == QUESTION_PRODUCTS && q.today && q.limit == 10 && !q.by_units);
	q = parse("/v1/products/top", "date=2011-11-30&by=units&limit=1000");
	assert_true(!q.today && q.limit == 1000 && q.by_units && q.from == date_from_civil(2011, 11, 30) &&
		    q.to == q.from);
	assert_int_equal(parse("/v1", NULL).route, QUESTION_INDEX);
	assert_int_equal(parse("/livez", NULL).route, QUESTION_LIVEZ);
	assert_int_equal(parse("/readyz", "").route, QUESTION_READYZ);
	assert_int_equal(parse("/metrics", NULL).route, QUESTION_METRICS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_customer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
