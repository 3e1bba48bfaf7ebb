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
		{ "/v1/revenue/today", "view=all", 400, "merged, batch or speed" },
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
