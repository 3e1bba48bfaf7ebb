/* Which results are held back, and which control totals do not agree. */
#include "common/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "batch/plausible.h"
#include "batch/result.h"
#include "common/kernel/currency.h"
#include "common/zone.h"

static int gbp, jpy;

static void add(struct ledger *ledger, int32_t day, int currency, enum ledger_kind kind, int64_t net_e4,
	int64_t events)
{
	struct ledger_key key = { day, currency, (int32_t)kind, 0 };
	struct err err;

	assert_int_equal(ledger_add(ledger, key, net_e4, events, &err), 0);
}

/* Of one day: what was stored of how many events, what this run makes of them, and how much is allowed. */
static bool day_is_plausible(int64_t stored_e4, int64_t events, int64_t again_e4, int64_t max_change)
{
	struct counters counters = { .records = 1000 };
	struct table corrections;
	struct ledger ledger;
	struct plausible plausible = { &ledger, &corrections, &counters, 1000, 0, max_change, false };
	char why[PLAUSIBLE_WHY_MAX];
	bool fine;

	ledger_init(&ledger);
	table_init(&corrections, sizeof(struct correction), 2 * sizeof(int32_t));
	add(&ledger, 20000, gbp, LEDGER_BASE_STORED, stored_e4, events);
	add(&ledger, 20000, gbp, LEDGER_BASE_AGAIN, again_e4, 0);
	add(&ledger, 20001, jpy, LEDGER_BASE_STORED, 1000, 1000);
	add(&ledger, 20001, jpy, LEDGER_BASE_AGAIN, 1000, 0);
	add(&ledger, 20000, gbp, LEDGER_AFTER, 77, 0); /* what came since is no change */
	add(&ledger, 20002, gbp, LEDGER_EXPECTED, 10000000, 0);
	fine = plausible_check(&plausible, why);
	plausible.shorter = true;
	assert_true(plausible_check(&plausible, why));
	ledger_release(&ledger);
	table_release(&corrections);
	return fine;
}

static void test_days(void **state)
{
	(void)state;
	assert_true(day_is_plausible(1000, 100, 1000, 0));
	assert_true(day_is_plausible(1000, 100, 1050, 5));
	assert_true(day_is_plausible(1000, 100, 950, 5));
	assert_false(day_is_plausible(1000, 100, 1051, 5));
	assert_false(day_is_plausible(1000, 100, 949, 5));
	assert_false(day_is_plausible(1000, 100, 1001, 0));
	assert_true(day_is_plausible(1000, 99, 5000, 5)); /* small */
	assert_false(day_is_plausible(1000, 100, -1000, 5));
	assert_true(day_is_plausible(-1000, 100, -1050, 5));
	assert_false(day_is_plausible(-1000, 100, -1051, 5));
	assert_false(day_is_plausible(0, 100, 1, 100));
	assert_false(day_is_plausible(INT64_MAX, 100, -INT64_MAX, 100));
	assert_true(day_is_plausible(INT64_MAX, 100, -INT64_MAX, 200));
}

static bool rejected_are_plausible(
	int64_t base_records, int64_t base_rejected, int64_t records, int64_t rejected)
{
	struct counters counters = { .records = records };
	struct table corrections;
	struct ledger ledger;
	struct plausible plausible = { &ledger, &corrections, &counters, base_records, base_rejected, 5,
		false };
	char why[PLAUSIBLE_WHY_MAX];
	bool fine;

	counters.rejected[EVENT_OK + 1] = rejected;
	ledger_init(&ledger);
	table_init(&corrections, sizeof(struct correction), 2 * sizeof(int32_t));
	fine = plausible_check(&plausible, why);
	ledger_release(&ledger);
	table_release(&corrections);
	return fine;
}

static void test_rejected(void **state)
{
	(void)state;
	assert_true(rejected_are_plausible(1000, 0, 1099, 99)); /* few */
	assert_false(rejected_are_plausible(1000, 0, 1100, 100));
	assert_true(rejected_are_plausible(1000, 0, 3000, 100));
	assert_false(rejected_are_plausible(1000, 0, 2999, 100));
	assert_true(rejected_are_plausible(1000, 500, 3000, 1500)); /* as before */
	assert_true(rejected_are_plausible(1000, 500, 3000, 1600));
	assert_false(rejected_are_plausible(1000, 500, 3000, 1601));
	assert_false(rejected_are_plausible(1000, 0, 1000, 100)); /* other rules */
	assert_true(rejected_are_plausible(1000, 500, 1000, 100)); /* other rules, and better ones */
	assert_true(rejected_are_plausible(0, 0, 0, 0));
	assert_false(rejected_are_plausible(1001, 0, 1000, 0)); /* history shrinks */
}

static void test_control_totals(void **state)
{
	const struct day_key day = { 20000, gbp };
	struct result result = { 0 };
	struct calendar calendar;
	struct product *product;
	struct product_key key = { .day = 20000, .currency = (uint16_t)gbp };
	struct day_sum *sum;
	struct err err;
	char wrong[RESULT_WRONG_MAX];
	bool new;

	(void)state;
	assert_int_equal(zone_load("Europe/London", &calendar, &err), 0);
	winners_init(&result.sums, &calendar, TALLY_NO_CUSTOMERS, NULL);
	table_init(&result.days, sizeof(struct day_sum), sizeof(struct day_key));
	names_init(&result.names);
	result.counters = (struct counters){ .records = 12, .counted = 10, .duplicate = 2 };
	sum = table_put(&result.days, &day, &new);
	sum->revenue = (struct revenue){ .gross_e4 = 500, .refunds_e4 = 100, .orders = 7, .refund_count = 3 };
	product = table_put(&result.sums.tally.products, &key, &new);
	product->net_e4 = 400;
	assert_true(result_agrees(&result, wrong));
	product->net_e4 = 401;
	assert_false(result_agrees(&result, wrong));
	assert_string_equal(wrong, "control totals: products and revenue in GBP differ");
	product->net_e4 = 400;
	sum->revenue.orders = 8;
	assert_false(result_agrees(&result, wrong));
	sum->revenue.orders = 7;
	result.counters.records = 13;
	assert_false(result_agrees(&result, wrong));
	result_release(&result);
	calendar_release(&calendar);
}

static int set_up(void **state)
{
	(void)state;
	gbp = currency_find((struct text){ "GBP", 3 });
	jpy = currency_find((struct text){ "JPY", 3 });
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_rejected),
		cmocka_unit_test(test_control_totals),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
