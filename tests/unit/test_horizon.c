#include "common/base.h"
#include "common/kernel/horizon.h"
#include "tests/unit/unit.h"

/* One partition, and the rule in its plainest form. */
struct record {
	int64_t offset, record_ms;
	int id; /* -1: rejected */
	int64_t latest_ms;
	bool duplicate;
};

enum { N_RECORDS = 400 };

struct log {
	struct record records[N_RECORDS];
	int64_t max_records, max_age_ms;
};

static void log_judge(struct log *log)
{
	int64_t latest_ms = DATETIME_NONE;

	for (size_t i = 0; i < N_RECORDS; i++) {
		struct record *record = &log->records[i];

		if (record->record_ms > latest_ms)
			latest_ms = record->record_ms;
		record->latest_ms = latest_ms;
		record->duplicate = false;
		for (size_t j = 0; j < i && record->id >= 0; j++)
			if (log->records[j].id == record->id) /* the last one decides */
				record->duplicate =
					record->offset - log->records[j].offset <= log->max_records &&
					latest_ms - log->records[j].record_ms <= log->max_age_ms;
	}
}

static void log_make(struct log *log, struct unit_random *random)
{
	int64_t offset = unit_random_below(random, 50), now_ms = INT64_C(1700000000000);
	int gaps = (int)unit_random_below(random, 60), disorder = (int)unit_random_below(random, 60);
	int rejected = (int)unit_random_below(random, 40);
	int64_t n_ids = 1 + unit_random_below(random, 120);

	log->max_records = unit_random_below(random, 100);
	log->max_age_ms = unit_random_below(random, 3000);
	for (size_t i = 0; i < N_RECORDS; i++) {
		struct record *record = &log->records[i];

		if (unit_random_chance(random, gaps))
			offset += unit_random_below(random, 20);
		now_ms += unit_random_below(random, 60);
		record->offset = offset++;
		record->record_ms = now_ms;
		if (unit_random_chance(random, disorder))
			record->record_ms += unit_random_below(random, 4000) - 2000;
		record->id =
			unit_random_chance(random, rejected) ? -1 : (int)unit_random_below(random, n_ids);
	}
	log_judge(log);
}

static struct event_id_hash id_hash(int id)
{
	/* few different low halves: collisions in the index and wrapped clusters */
	return (struct event_id_hash){ (uint64_t)id % 7 - 3, (uint64_t)id };
}

static int64_t log_latest_ms(const struct log *log, size_t i)
{
	return i ? log->records[i - 1].latest_ms : DATETIME_NONE;
}

/* The offset at which the horizon stands before record i. */
static int64_t log_next(const struct log *log, size_t i)
{
	return i ? log->records[i - 1].offset + 1 : log->records[0].offset;
}

static bool horizon_take(struct horizon *horizon, const struct record *record)
{
	if (record->id >= 0)
		return horizon_see(horizon, record->offset, record->record_ms, id_hash(record->id));
	horizon_pass(horizon, record->offset, record->record_ms);
	return false;
}

/* A new owner at record i: reads no more than the contract asks for. */
static void horizon_read_again(struct horizon *horizon, const struct log *log, size_t i)
{
	int64_t oldest_ms = horizon_oldest_record_ms(horizon, log_latest_ms(log, i));
	int64_t from = log_next(log, i) - log->max_records;
	size_t j = 0;

	while (j < i && oldest_ms != DATETIME_NONE && log->records[j].record_ms < oldest_ms)
		j++;
	while (j < i && log->records[j].offset < from)
		j++;
	horizon_start(horizon, j < i ? log->records[j].offset : log_next(log, i), log_latest_ms(log, i));
	for (; j < i; j++)
		(void)horizon_take(horizon, &log->records[j]);
	if (horizon->next < log_next(log, i))
		horizon_skip(horizon, log_next(log, i));
}

static int64_t log_valid(const struct log *log, size_t j, size_t i)
{
	int64_t n = 0;

	for (; j < i; j++)
		n += log->records[j].id >= 0;
	return n;
}

static void check_log(struct log *log, struct unit_random *random)
{
	struct horizon horizon;
	size_t exact_from = 0, farthest = 0;

	horizon_init(&horizon, log->max_records, log->max_age_ms);
	horizon.slack = unit_random_below(random, 60);
	assert_false(horizon_rewind(&horizon, 0, DATETIME_NONE));
	horizon_start(&horizon, log->records[0].offset, DATETIME_NONE);
	for (size_t i = 0, steps = 0; i < N_RECORDS && steps < 4 * N_RECORDS; steps++) {
		if (unit_random_chance(random, 4)) {
			size_t back = i < 80 ? 0 : i - 80;

			back += (size_t)unit_random_below(random, (int64_t)(i - back) + 1);
			if (back >= exact_from &&
				horizon_rewind(&horizon, log_next(log, back), log_latest_ms(log, back))) {
				assert_int_equal(horizon.next, log_next(log, back));
			} else {
				assert_true(
					back < exact_from || log_valid(log, back, farthest) > horizon.slack);
				horizon_read_again(&horizon, log, back);
				exact_from = farthest = back;
			}
			i = back;
			continue;
		}
		assert_int_equal(horizon_take(&horizon, &log->records[i]), log->records[i].duplicate);
		i++;
		farthest = i > farthest ? i : farthest;
		assert_true(horizon.latest_record_ms == log_latest_ms(log, i));
		assert_false(horizon_rewind(&horizon, horizon.next + 1, horizon.latest_record_ms));
	}
	horizon_release(&horizon);
	horizon_release(&horizon);
}

static void test_against_model(void **state)
{
	struct unit_random random = { unit_seed(__func__) };
	static struct log log;

	(void)state;
	for (int i = 0; i < 300; i++) {
		log_make(&log, &random);
		check_log(&log, &random);
	}
}

/* Both bounds are themselves within. */
static void test_bounds(void **state)
{
	/* clang-format off */
	static const struct {
		int64_t offset, record_ms;
		bool duplicate;
	} second[] = {
		{ 11, 1000, true }, { 110, 1000, true }, { 111, 1000, false }, { 11, 6000, true }, { 11, 6001, false },
		{ 110, 6000, true }, { 11, 0, true }, { 11, INT64_MIN + 1, true }, { 11, INT64_MAX, false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(second); i++) {
		struct horizon horizon;

		horizon_init(&horizon, 100, 5000);
		horizon_start(&horizon, 10, DATETIME_NONE);
		assert_false(horizon_see(&horizon, 10, 1000, id_hash(1)));
		assert_int_equal(horizon_see(&horizon, second[i].offset, second[i].record_ms, id_hash(1)),
			second[i].duplicate);
		horizon_release(&horizon);
	}
}

/* A duplicate renews the identity: the third is held against the second. */
static void test_chain(void **state)
{
	struct horizon horizon;

	(void)state;
	horizon_init(&horizon, 100, 5000);
	horizon_start(&horizon, 0, DATETIME_NONE);
	assert_false(horizon_see(&horizon, 0, 0, id_hash(1)));
	assert_true(horizon_see(&horizon, 80, 0, id_hash(1)));
	assert_true(horizon_see(&horizon, 160, 0, id_hash(1)));
	assert_true(horizon_rewind(&horizon, 80, 0));
	assert_false(horizon_see(&horizon, 120, 0, id_hash(1)));
	horizon_release(&horizon);
}

/* Memory grows with what is held and stops at the bounds. */
static void test_memory(void **state)
{
	struct horizon horizon;
	size_t full;

	(void)state;
	horizon_init(&horizon, 10000, 1000000);
	horizon.slack = 1000;
	horizon_start(&horizon, 0, DATETIME_NONE);
	assert_int_equal(horizon_bytes(&horizon), 0);
	for (int64_t i = 0; i < 20000; i++)
		assert_false(horizon_see(
			&horizon, i, i, event_id_hash((struct text){ (const char *)&i, sizeof(i) })));
	full = horizon_bytes(&horizon);
	assert_in_range(full, 10000 * 64, 16384 * 64);
	for (int64_t i = 20000; i < 200000; i++)
		assert_false(horizon_see(
			&horizon, i, i, event_id_hash((struct text){ (const char *)&i, sizeof(i) })));
	assert_int_equal(horizon_bytes(&horizon), full);
	assert_true(horizon_rewind(&horizon, 199000, 198999));
	assert_false(horizon_rewind(&horizon, 190000, 189999));
	for (int64_t i = 199000; i < 200000;
		i++) { /* each was seen before, at less than 10,000 back, but for those gone back over */
		int64_t id = i - 9000;

		assert_true(horizon_see(
			&horizon, i, i, event_id_hash((struct text){ (const char *)&id, sizeof(id) })));
	}
	horizon_release(&horizon);
}

static void test_oldest(void **state)
{
	struct horizon horizon;

	(void)state;
	horizon_init(&horizon, 10, 5000);
	assert_true(horizon_oldest_record_ms(&horizon, DATETIME_NONE) == DATETIME_NONE);
	assert_true(horizon_oldest_record_ms(&horizon, 7000) == 2000);
	assert_true(horizon_oldest_record_ms(&horizon, INT64_MIN + 5) == DATETIME_NONE);
	horizon_release(&horizon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_oldest),
	};

	return cmocka_run_group_tests_name("horizon", tests, NULL, NULL);
}
