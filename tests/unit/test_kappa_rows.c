/* The parameters of a flush to the Kappa tables, as Postgres reads them; and the limit on a replay's pace. */
#include "common/base.h"
#include "tests/unit/unit.h"

#include "speed/kappa_rows.h"
#include "speed/throttle.h"

static void test_arrays(void **state)
{
	struct kappa_array array = { 0 };

	(void)state;
	assert_string_equal(kappa_array_done(&array), "{}");
	kappa_array_clear(&array);
	kappa_array_number(&array, 0);
	kappa_array_number(&array, -7);
	kappa_array_number(&array, INT64_MAX);
	kappa_array_number(&array, INT64_MIN);
	kappa_array_time(&array, DATETIME_NONE);
	kappa_array_time(&array, 1234567890123);
	assert_string_equal(kappa_array_done(&array),
		"{0,-7,9223372036854775807,-9223372036854775808,NULL,1234567890123}");
	kappa_array_clear(&array);
	kappa_array_text(&array, (struct text){ "", 0 });
	kappa_array_text(&array, (struct text){ "a,b{}", 5 });
	kappa_array_text(&array, (struct text){ "NULL", 4 });
	kappa_array_text(&array, (struct text){ "\"\\", 2 });
	assert_string_equal(kappa_array_done(&array), "{\"\",\"a,b{}\",\"NULL\",\"\\\"\\\\\"}");
	free(array.text);
}

static void test_no_values(void **state)
{
	struct kappa_rows rows = { 0 };
	struct values values;
	struct tail tail;
	struct redis_flush flush = { .expected_next = 5,
		.new_next = 9,
		.latest = { 1, 2 },
		.tail = &tail,
		.lost_from = 5,
		.lost_to = 8 };
	struct calendar calendar = { 0 };
	const char *params[KAPPA_N_COLUMNS];

	(void)state;
	values_init(&values);
	tail_init(&tail);
	kappa_rows_add(&rows, 3, &flush, &values, &calendar, 11, false);
	kappa_rows_add(&rows, 4, &flush, &values, &calendar, 11, true);
	kappa_rows_params(&rows, params);
	assert_string_equal(params[KAPPA_PARTITION], "{3,4}");
	assert_string_equal(params[KAPPA_EXPECTED], "{5,5}");
	assert_string_equal(params[KAPPA_NEXT], "{9,9}");
	assert_string_equal(params[KAPPA_TAIL], "{\"\",\"\"}");
	assert_string_equal(params[KAPPA_FROM_HOUR], "{NULL,11}");
	assert_string_equal(params[KAPPA_COUNTERS], "{}");
	assert_string_equal(params[KAPPA_LOST + 2], "{8,8}");
	assert_string_equal(params[KAPPA_NAMES], "{}");
	assert_int_equal(rows.n_partitions, 2);
	kappa_rows_clear(&rows);
	kappa_rows_params(&rows, params);
	assert_string_equal(params[KAPPA_PARTITION], "{}");
	kappa_rows_release(&rows);
	values_release(&values);
}

static void test_throttle(void **state)
{
	struct throttle none = { 0 }, some = { .per_second = 1000 };
	int64_t until_ms = clock_ms() + 300;
	int n = 0;

	(void)state;
	throttle_take(&none);
	assert_false(throttle_is_due(&none));
	while (clock_ms() < until_ms)
		if (!throttle_is_due(&some)) {
			throttle_take(&some);
			n++;
		}
	assert_in_range(n, 1, 410); /* 300, and a tenth of a second that it had saved */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_no_values),
		cmocka_unit_test(test_throttle),
	};

	return cmocka_run_group_tests_name("kappa_rows", tests, NULL, NULL);
}
