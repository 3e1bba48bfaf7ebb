#include "common/base.h"
#include "common/kernel/currency.h"
#include "tests/unit/unit.h"

static void test_list(void **state)
{
	(void)state;
	assert_in_range(currency_count(), 150, 170);
	for (int i = 0; i < currency_count(); i++) {
		const char *code = currency_code(i);

		assert_int_equal(strlen(code), 3);
		assert_int_equal(currency_find(unit_text(code)), i);
		assert_true(currency_decimals(i) <= 3);
		if (i)
			assert_true(strcmp(currency_code(i - 1), code) < 0);
	}
}

static void test_every_code(void **state)
{
	char code[4] = "";
	int found = 0;

	(void)state;
	for (int i = 0; i < 26 * 26 * 26; i++) {
		int currency;

		code[0] = (char)('A' + i / 676);
		code[1] = (char)('A' + i / 26 % 26);
		code[2] = (char)('A' + i % 26);
		currency = currency_find(unit_text(code));
		if (currency < 0)
			continue;
		assert_string_equal(currency_code(currency), code);
		found++;
	}
	assert_int_equal(found, currency_count());
}

static void test_decimals(void **state)
{
	/* clang-format off */
	static const struct {
		const char *code;
		unsigned decimals;
	} cases[] = {
		{ "GBP", 2 }, { "EUR", 2 }, { "USD", 2 }, { "JPY", 0 }, { "KRW", 0 }, { "CLP", 0 }, { "ISK", 0 }, { "HUF", 2 },
		{ "KWD", 3 }, { "BHD", 3 }, { "OMR", 3 }, { "JOD", 3 }, { "TND", 3 }, { "IQD", 3 }, { "LYD", 3 }, { "UGX", 0 },
		{ "VND", 0 }, { "XAF", 0 }, { "XOF", 0 }, { "XPF", 0 }, { "XCD", 2 }, { "MGA", 2 }, { "MRU", 2 }, { "PYG", 0 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int currency = currency_find(unit_text(cases[i].code));

		assert_true(currency >= 0);
		assert_int_equal(currency_decimals(currency), cases[i].decimals);
	}
}

static void test_membership(void **state)
{
	static const char *const in[] = { "SLE", "VED", "ZWG", "XCG", "ANG", "BGN", "XAF", "XCD", "XOF",
		"XPF", "AED", "ZMW" };
	/* clang-format off */
	static const char *const out[] = { "XAU", "XAG", "XPT", "XPD", "XBA", "XBB", "XBC", "XBD", "XTS", "XXX", "XDR", "XSU",
		"XUA", "BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "HRK", "ZWL", "SLL", "CUC", "DEM", "BTC",
		"gbp", "Gbp", "GB", "GBPX", "", "AAA", "ZZZ", " GB", "\xff\xff\xff" };
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(in); i++)
		if (currency_find(unit_text(in[i])) < 0)
			fail_msg("'%s' is missing", in[i]);
	for (size_t i = 0; i < ARRAY_SIZE(out); i++)
		if (currency_find(unit_text(out[i])) != -1)
			fail_msg("'%s' is in the list", out[i]);
	assert_int_equal(currency_find(UNIT_TEXT("GB\0")), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_every_code),
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_membership),
	};

	return cmocka_run_group_tests_name("currency", tests, NULL, NULL);
}
