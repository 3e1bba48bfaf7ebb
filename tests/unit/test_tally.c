#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/kernel/tally.h"
#include "common/zone.h"
#include "tests/unit/unit.h"

static struct calendar london;

static int setup(void **state)
{
	struct err err;

	(void)state;
	return zone_load("Europe/London", &london, &err);
}

static int teardown(void **state)
{
	(void)state;
	calendar_release(&london);
	return 0;
}

static void test_revenue_add(void **state)
{
	static const struct revenue start = { 1, 2, 3, 4, -5 };
	struct revenue sum = start;

	(void)state;
	assert_int_equal(revenue_add(&sum, &(struct revenue){ 10, 20, 30, 40, 50 }), 0);
	assert_memory_equal(&sum, &((struct revenue){ 11, 22, 33, 44, 45 }), sizeof(sum));
	for (int member = 0; member < 5; member++) {
		int64_t more[5] = { 1, 1, 1, 1, 1 };

		sum = start;
		more[member] = member == 4 ? INT64_MIN : INT64_MAX;
		assert_int_equal(
			revenue_add(&sum, &(struct revenue){ more[0], more[1], more[2], more[3], more[4] }),
			-1);
		assert_memory_equal(&sum, &start, sizeof(sum));
	}
}

static void test_counters(void **state)
{
	struct counters sum = { 10, 6, 2, 1, 0, { 0 } }, more = { 1, 0, 0, 0, 5, { 0 } };

	(void)state;
	sum.rejected[EVENT_REJECT_JSON] = 1;
	sum.rejected[EVENT_REJECT_AMOUNT] = 1;
	more.rejected[EVENT_REJECT_AMOUNT] = 1;
	counters_add(&sum, &more);
	assert_int_equal(sum.records, 11);
	assert_int_equal(sum.late, 1);
	assert_int_equal(sum.rejected[EVENT_REJECT_AMOUNT], 2);
	assert_int_equal(counters_rejected(&sum), 3);
	assert_int_equal(sum.records, sum.counted + sum.duplicate + counters_rejected(&sum));
}

static void test_dictionary(void **state)
{
	struct dictionary *dictionary = dictionary_new();
	char *long_text = malloc(200000);
	const char *first;

	(void)state;
	assert_non_null(long_text);
	memset(long_text, 'x', 200000);
	assert_int_equal(dictionary_put(dictionary, UNIT_TEXT("85123A")), 0);
	assert_int_equal(dictionary_put(dictionary, UNIT_TEXT("85123a")), 1);
	assert_int_equal(dictionary_put(dictionary, UNIT_TEXT("")), 2);
	assert_int_equal(dictionary_put(dictionary, (struct text){ long_text, 200000 }), 3);
	first = dictionary_get(dictionary, 0).at;
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < 50000; i++) {
			char word[16];
			int len = snprintf(word, sizeof(word), "w%" PRIu32, i);

			assert_int_equal(
				dictionary_put(dictionary, (struct text){ word, (size_t)len }), 4 + i);
			assert_int_equal(dictionary_get(dictionary, 4 + i).len, len);
			assert_memory_equal(dictionary_get(dictionary, 4 + i).at, word, len);
		}
	assert_int_equal(dictionary_count(dictionary), 50004);
	assert_int_equal(dictionary_put(dictionary, UNIT_TEXT("85123A")), 0);
	assert_ptr_equal(dictionary_get(dictionary, 0).at, first);
	assert_int_equal(dictionary_get(dictionary, 2).len, 0);
	assert_int_equal(dictionary_get(dictionary, 3).len, 200000);
	dictionary_free(dictionary);
	dictionary_free(NULL);
	free(long_text);
}

static int64_t utc(const char *text)
{
	int64_t ms = 0;

	assert_int_equal(datetime_parse(unit_text(text), &ms), 0);
	return ms;
}

static const struct bucket *find_bucket(const struct tally *tally, const char *time, const char *currency)
{
	struct bucket_key key = { (int32_t)(utc(time) / MINUTE_MS), currency_find(unit_text(currency)) };

	return table_find(&tally->buckets, &key);
}

static const struct product *find_product(
	const struct tally *tally, const char *day, const char *currency, const char *sku)
{
	struct product_key key = { 0, (uint16_t)currency_find(unit_text(currency)), 0,
		dictionary_put(tally->texts, unit_text(sku)) };

	assert_int_equal(date_parse(unit_text(day), &key.day), 0);
	return table_find(&tally->products, &key);
}

static void add(struct tally *tally, const char *time, enum event_type type, const char *currency,
	struct event_line *lines, uint32_t n_lines)
{
	struct event event = { .type = type,
		.time_ms = utc(time),
		.currency = currency_find(unit_text(currency)),
		.event_id = UNIT_TEXT("e"),
		.lines = lines,
		.n_lines = n_lines };
	struct err err;

	for (uint32_t i = 0; i < n_lines; i++) {
		event.total_e4 += lines[i].unit_price_e4 * lines[i].quantity;
		event.units += lines[i].quantity;
	}
	assert_int_equal(tally_add(tally, &london, &event, &err), 0);
}

static void test_add(void **state)
{
	struct event_line two[] = { { UNIT_TEXT("a"), { 0 }, 6, 25500 }, { UNIT_TEXT("b"), { 0 }, 1, 1 } };
	struct event_line same[] = { { UNIT_TEXT("a"), { 0 }, 2, 10000 },
		{ UNIT_TEXT("a"), { 0 }, 3, 20000 } };
	struct event_line free_item[] = { { UNIT_TEXT("A"), { 0 }, 1, 0 } };
	struct tally tally;

	(void)state;
	tally_init(&tally);
	for (int round = 0; round < 2; round++) {
		add(&tally, "2011-06-30T22:59:00.000Z", EVENT_PLACED, "GBP", two, 2);
		add(&tally, "2011-06-30T22:59:59.999Z", EVENT_REFUNDED, "GBP", same, 2);
		add(&tally, "2011-06-30T23:00:00.000Z", EVENT_PLACED, "GBP", same,
			2); /* the next day in London */
		add(&tally, "2011-06-30T22:59:30.000Z", EVENT_PLACED, "EUR", free_item, 1);

		assert_int_equal(tally.buckets.n, 3);
		assert_memory_equal(&find_bucket(&tally, "2011-06-30T22:59:00Z", "GBP")->revenue,
			&((struct revenue){ 153001, 80000, 1, 1, 2 }), sizeof(struct revenue));
		assert_memory_equal(&find_bucket(&tally, "2011-06-30T23:00:00Z", "GBP")->revenue,
			&((struct revenue){ 80000, 0, 1, 0, 5 }), sizeof(struct revenue));
		assert_memory_equal(&find_bucket(&tally, "2011-06-30T22:59:00Z", "EUR")->revenue,
			&((struct revenue){ 0, 0, 1, 0, 1 }), sizeof(struct revenue));
		assert_null(find_bucket(&tally, "2011-06-30T22:58:00Z", "GBP"));

		assert_int_equal(tally.products.n, 4);
		assert_int_equal(find_product(&tally, "2011-06-30", "GBP", "a")->net_e4, 153000 - 80000);
		assert_int_equal(find_product(&tally, "2011-06-30", "GBP", "a")->units, 6 - 5);
		assert_int_equal(find_product(&tally, "2011-06-30", "GBP", "b")->net_e4, 1);
		assert_int_equal(find_product(&tally, "2011-07-01", "GBP", "a")->net_e4, 80000);
		assert_int_equal(find_product(&tally, "2011-06-30", "EUR", "A")->units, 1);
		assert_null(find_product(&tally, "2011-06-30", "EUR", "a"));
		tally_clear(&tally);
		assert_int_equal(tally.buckets.n, 0);
		assert_int_equal(tally.products.n, 0);
	}
	tally_release(&tally);
}

#define AN_ORDERS_MINUTE INT64_C(22000000) /* 2011-10-30 */
static const struct event an_order = { .event_id = UNIT_TEXT("e1"),
	.customer_id = UNIT_TEXT("c1"),
	.type = EVENT_PLACED,
	.time_ms = AN_ORDERS_MINUTE * MINUTE_MS + 59999,
	.total_e4 = 7 };

static void test_customers(void **state)
{
	struct event event = an_order;
	struct customer_key key = { (int32_t)AN_ORDERS_MINUTE, 0, 0 };
	const struct customer_minute *minute;
	struct tally tally;
	struct err err;

	(void)state;
	tally_init(&tally);
	assert_int_equal(tally_add(&tally, &london, &event, &err), 0);
	assert_int_equal(tally.customers.n, 0); /* nobody has asked for them */
	tally.customers_from_ms = AN_ORDERS_MINUTE * MINUTE_MS;
	assert_int_equal(tally_add(&tally, &london, &event, &err), 0);
	event.type = EVENT_REFUNDED;
	assert_int_equal(tally_add(&tally, &london, &event, &err), 0);
	event.time_ms = AN_ORDERS_MINUTE * MINUTE_MS - 1; /* too old */
	assert_int_equal(tally_add(&tally, &london, &event, &err), 0);
	event.time_ms = AN_ORDERS_MINUTE * MINUTE_MS;
	event.customer_id = (struct text){ NULL, 0 };
	assert_int_equal(tally_add(&tally, &london, &event, &err), 0);
	assert_int_equal(tally.customers.n, 1);
	key.customer = dictionary_put(tally.texts, unit_text("c1"));
	minute = table_find(&tally.customers, &key);
	assert_non_null(minute);
	assert_memory_equal(&minute->revenue, &((struct revenue){ 7, 7, 1, 1, 0 }), sizeof(struct revenue));
	tally_clear(&tally);
	assert_int_equal(tally.customers.n, 0);
	tally_release(&tally);
}

static void test_late(void **state)
{
	struct event event = an_order;
	struct late_key key = { calendar_day(&london, event.time_ms), 0 };
	struct tally tally, more;
	struct err err;

	(void)state;
	tally_init(&tally);
	tally_init(&more);
	assert_int_equal(tally_add_late(&tally, &london, &event, 5000, &err), 0);
	event.type = EVENT_REFUNDED;
	event.total_e4 = 10;
	assert_int_equal(tally_add_late(&more, &london, &event, 4000, &err), 0);
	assert_int_equal(tally_merge(&tally, &more, &err), 0);
	assert_int_equal(tally_merge(&more, &tally, &err), 0);
	assert_memory_equal(table_find(&tally.late, &key), &((struct late_day){ key, 2, -3, 5000 }),
		sizeof(struct late_day));
	assert_memory_equal(table_find(&more.late, &key), &((struct late_day){ key, 3, -13, 5000 }),
		sizeof(struct late_day));
	tally_clear(&tally);
	assert_int_equal(tally.late.n, 0);
	tally_release(&tally);
	tally_release(&more);
}

static void test_merge_overflow(void **state)
{
	struct event event = an_order;
	struct late_key key = { calendar_day(&london, event.time_ms), 0 };
	struct tally tally, more;
	struct err err = { 0 };
	bool new;

	(void)state;
	tally_init(&tally);
	tally_init(&more);
	assert_int_equal(tally_add_late(&more, &london, &event, 1, &err), 0);
	((struct late_day *)table_put(&tally.late, &key, &new))->net_e4 = INT64_MAX;
	assert_int_equal(tally_merge(&tally, &more, &err), -1);
	assert_int_equal(err.code, ERR_DATA);
	tally_release(&tally);
	tally_release(&more);
}

static void test_overflow(void **state)
{
	struct event_line line = { UNIT_TEXT("a"), { 0 }, 1000000, EVENT_TOTAL_MAX_E4 / 1000000 };
	struct event event = { .event_id = UNIT_TEXT("e1"),
		.time_ms = DATETIME_END_MS - 1,
		.total_e4 = EVENT_TOTAL_MAX_E4,
		.units = 1000000,
		.n_lines = 1,
		.lines = &line };
	struct tally tally;
	struct err err = { 0 };
	int64_t n = 0;

	(void)state;
	tally_init(&tally);
	while (tally_add(&tally, &london, &event, &err) == 0)
		n++;
	assert_int_equal(n, INT64_MAX / EVENT_TOTAL_MAX_E4);
	assert_int_equal(err.code, ERR_DATA);
	assert_non_null(strstr(err.msg, "'e1'"));
	tally_release(&tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revenue_add),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_customers),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_merge_overflow),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests_name("tally", tests, setup, teardown);
}
