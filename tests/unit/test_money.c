#include "common/base.h"
#include "common/kernel/money.h"
#include "tests/unit/unit.h"

enum { BAD = -1 };

static void test_parse(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t e4;
	} cases[] = {
		{ "0", 0 }, { "0.0", 0 }, { "0.0000", 0 }, { "1", 10000 }, { "2.55", 25500 }, { "0.0001", 1 },
		{ "00002.5", 25000 }, { "0000000000", 0 }, { "9999999999.9999", 99999999999999 },
		{ "9999999999", 99999999990000 }, { "12345.678", 123456780 },
		{ "", BAD }, { ".", BAD }, { ".5", BAD }, { "5.", BAD }, { "1.23456", BAD }, { "12345678901", BAD },
		{ "00000000001", BAD }, { "-1", BAD }, { "+1", BAD }, { " 1", BAD }, { "1 ", BAD }, { "1,5", BAD },
		{ "1.2.3", BAD }, { "1e3", BAD }, { "0x10", BAD }, { "NaN", BAD }, { "1.5\n", BAD }, { "1._5", BAD },
		{ "1.5a", BAD }, { "a1.5", BAD }, { "/1", BAD }, { ":", BAD },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t e4 = BAD;
		int result = money_parse(unit_text(cases[i].text), &e4);

		if (result != (cases[i].e4 == BAD ? -1 : 0) || e4 != cases[i].e4)
			fail_msg("'%s' gave %d, %" PRId64, cases[i].text, result, e4);
	}
	assert_int_equal(money_parse(UNIT_TEXT("1\0"), &(int64_t){ 0 }), -1);
}

static void test_format(void **state)
{
	/* clang-format off */
	static const struct {
		int64_t e4;
		unsigned min_decimals;
		const char *text;
	} cases[] = {
		{ 0, 0, "0" }, { 0, 2, "0.00" }, { 0, 4, "0.0000" }, { 1, 0, "0.0001" }, { 1, 2, "0.0001" },
		{ 10, 2, "0.001" }, { 100, 2, "0.01" }, { 25500, 2, "2.55" }, { 25000, 2, "2.50" }, { 25000, 0, "2.5" },
		{ 25000, 3, "2.500" }, { -50000000, 2, "-5000.00" }, { -1, 2, "-0.0001" }, { 97477479340, 2, "9747747.934" },
		{ 120000, 0, "12" }, { INT64_MAX, 2, "922337203685477.5807" }, { INT64_MIN, 2, "-922337203685477.5808" },
		{ INT64_MIN + 8, 0, "-922337203685477.58" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[MONEY_TEXT_MAX];
		size_t len = money_format(cases[i].e4, cases[i].min_decimals, buf);

		assert_string_equal(buf, cases[i].text);
		assert_int_equal(len, strlen(buf));
	}
}

static void test_parse_undoes_format(void **state)
{
	struct unit_random random = { unit_seed(__func__) };

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t e4 = unit_random_below(&random, INT64_C(1) << (1 + unit_random_below(&random, 46))),
			back = -1;
		char buf[MONEY_TEXT_MAX];
		size_t len = money_format(e4, (unsigned)unit_random_below(&random, 5), buf);

		assert_int_equal(money_parse((struct text){ buf, len }, &back), 0);
		assert_int_equal(back, e4);
	}
}

static void test_overflow(void **state)
{
	int64_t value = 7;

	(void)state;
	assert_int_equal(money_add(INT64_MAX, 1, &value), -1);
	assert_int_equal(money_add(INT64_MIN, -1, &value), -1);
	assert_int_equal(money_mul(INT64_MAX, 2, &value), -1);
	assert_int_equal(money_mul(INT64_MIN, -1, &value), -1);
	assert_int_equal(money_mul(99999999999999, 1000000, &value), -1);
	assert_int_equal(value, 7);
	assert_int_equal(money_add(INT64_MAX, INT64_MIN, &value), 0);
	assert_int_equal(value, -1);
	assert_int_equal(money_add(INT64_MAX - 1, 1, &value), 0);
	assert_true(value == INT64_MAX);
	assert_int_equal(money_mul(-3, 4, &value), 0);
	assert_int_equal(value, -12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_parse_undoes_format),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
