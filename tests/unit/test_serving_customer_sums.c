#include "common/base.h"
#include "common/kernel/currency.h"
#include "serving/customer_sums.h"
#include "tests/unit/unit.h"

static int gbp(void)
{
	return currency_find(UNIT_TEXT("GBP"));
}

static const struct customer_sum *sum_of(const struct customer_sums *sums)
{
	int32_t key = gbp();

	return table_find(&sums->currencies, &key);
}

static void test_window(void **state)
{
	static const int64_t minutes[] = { 99, 100, 150, 199, 200 };
	const struct revenue one = { .gross_e4 = 5, .orders = 1 };
	struct customer_sums sums;
	struct err err;

	(void)state;
	customer_sums_init(&sums, 100, 200);
	for (size_t i = 0; i < ARRAY_SIZE(minutes); i++)
		assert_int_equal(customer_sums_add(&sums, minutes[i], gbp(), &one, i % 2, &err), 0);
	assert_int_equal(sum_of(&sums)->confirmed.orders, 1);
	assert_int_equal(sum_of(&sums)->provisional.orders, 2);
	assert_int_equal(sums.first[false], 150);
	assert_int_equal(sums.last[false], 150);
	assert_int_equal(sums.first[true], 100);
	assert_int_equal(sums.last[true], 199);
	customer_sums_drop_provisional(&sums);
	assert_int_equal(sum_of(&sums)->provisional.orders, 0);
	assert_true(sums.first[true] > sums.last[true]);
	assert_int_equal(sum_of(&sums)->confirmed.gross_e4, 5);
	customer_sums_release(&sums);
}

static void test_overflow(void **state)
{
	const struct revenue most = { .gross_e4 = INT64_MAX };
	struct customer_sums sums;
	struct err err = { 0 };

	(void)state;
	customer_sums_init(&sums, 0, 10);
	assert_int_equal(customer_sums_add(&sums, 1, gbp(), &most, true, &err), 0);
	assert_int_equal(customer_sums_add(&sums, 1, gbp(), &most, true, &err), -1);
	assert_int_equal(err.code, ERR_DATA);
	customer_sums_release(&sums);
}

static int add(const char *field, const char *value, char kind, int64_t hour, struct customer_sums *sums)
{
	char *copies[2] = { strdup(field), strdup(value) };
	redisReply texts[2] = { { .type = REDIS_REPLY_STRING, .str = copies[0], .len = strlen(field) },
		{ .type = REDIS_REPLY_STRING, .str = copies[1], .len = strlen(value) } };
	redisReply *fields[2] = { &texts[0], &texts[1] };
	struct redis_chunk chunk = { .kind = kind, .number = hour, .n_fields = 1, .fields = fields };
	struct redis_generation_view generation = { .chunks = &chunk, .n_chunks = 1 };
	struct redis_view view = { .generations = &generation, .n_generations = 1 };
	struct err err;
	int result = customer_sums_add_view(sums, &view, &err);

	free(copies[0]);
	free(copies[1]);
	return result;
}

static void test_chunks(void **state)
{
	struct customer_sums sums;

	(void)state;
	customer_sums_init(&sums, 120, 180);
	assert_int_equal(add("07GBPo", "2", 'o', 2, &sums), 0);
	assert_int_equal(add("59GBPg", "700", 'o', 2, &sums), 0);
	assert_int_equal(add("00GBPr", "9", 'o', 3, &sums), 0); /* behind the window */
	assert_int_equal(sum_of(&sums)->provisional.orders, 2);
	assert_int_equal(sum_of(&sums)->provisional.gross_e4, 700);
	assert_int_equal(sum_of(&sums)->provisional.refunds_e4, 0);
	assert_int_equal(sums.last[true], 127);
	assert_int_equal(add("07GBPx", "1", 'o', 2, &sums), -1);
	assert_int_equal(add("67GBPo", "1", 'o', 2, &sums), -1);
	assert_int_equal(add("07XXXo", "1", 'o', 2, &sums), -1);
	assert_int_equal(add("07GBPo", "-1", 'o', 2, &sums), -1);
	assert_int_equal(add("07GBPo", "1", 'r', 2, &sums), -1);
	assert_int_equal(add("07GBPo", "1", 'o', -1, &sums), -1);
	assert_int_equal(add("07GBPo", "1", 'o', INT64_MAX, &sums), -1);
	customer_sums_release(&sums);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_chunks),
	};

	return cmocka_run_group_tests_name("serving_customer_sums", tests, NULL, NULL);
}
