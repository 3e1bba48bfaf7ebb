#include "common/base.h"
#include "common/kernel/fold.h"
#include "tests/unit/unit.h"

enum { MINUTES = 60000, GRACE = 30 * MINUTES, SKEW = 10 * MINUTES };
#define T0 INT64_C(1700000040000) /* a whole minute */

static const struct calendar utc = { .zone = "UTC" };
static struct fold_rules rules = { &utc, 1000, 86400000, GRACE, SKEW, false, true };

static void test_version(void **state)
{
	struct calendar calendar = { .zone = "Europe/London" };
	struct fold_rules some = { &calendar, 1000000, 86400000, 1800000, 600000, false, true };
	char buf[FOLD_VERSION_MAX];

	(void)state;
	fold_version(&some, buf);
	assert_string_equal(buf, "k1;tz=Europe/London;horizon=1000000/86400000;grace=1800000;skew=600000;"
				 "late=count;customers=yes");
	some.exclude_late = true;
	some.customers = false;
	fold_version(&some, buf);
	assert_non_null(strstr(buf, ";late=exclude;customers=no"));
	assert_int_equal(fold_version_kernel(buf), KERNEL_VERSION);
	assert_int_equal(fold_version_kernel("k12;x"), 12);
	assert_int_equal(fold_version_kernel("k99999;"), 99999);
	for (size_t i = 0; i < 10; i++) {
		static const char *const bad[] = { "", "k", "k;", "k00;", "k01;", "k1", "1;", "K1;", "k-1;",
			"k99999999999999999999;" };

		assert_int_equal(fold_version_kernel(bad[i]), -1);
	}
}

/* A log told record by record: what each is, and what the fold must say. */
static void test_records(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what, *id; /* no id: rejected */
		int64_t record_ms, event_ms;
		enum verdict verdict;
		bool late;
		int64_t latest_event_ms;
	} log[] = {
		{ "first", "a", T0, T0, VERDICT_COUNTED, false, T0 },
		{ "rejected", NULL, T0 + 99 * MINUTES, 0, VERDICT_REJECTED, false, T0 },
		{ "out of order", "b", T0, T0 - 5 * MINUTES, VERDICT_COUNTED, false, T0 },
		{ "duplicate moves event time", "a", T0, T0 + 2, VERDICT_DUPLICATE, false, T0 + 2 },
		{ "at its bucket's end + grace", "c", T0, T0 - GRACE - 1, VERDICT_COUNTED, true, T0 + 2 },
		{ "in the bucket after it", "d", T0, T0 - GRACE, VERDICT_COUNTED, false, T0 + 2 },
		{ "late duplicate is only a duplicate", "c", T0, T0 - GRACE - 1, VERDICT_DUPLICATE, false, T0 + 2 },
		{ "ahead by the skew", "e", T0, T0 + SKEW, VERDICT_COUNTED, false, T0 + SKEW },
		{ "further ahead: counted, but moves nothing", "f", T0, T0 + SKEW + 1, VERDICT_COUNTED, false, T0 + SKEW },
		{ "skewed duplicate", "f", T0, T0 + 2 * SKEW, VERDICT_DUPLICATE, false, T0 + SKEW },
		{ "itself far ahead is never late", "g", T0 + 300 * MINUTES, T0 + 300 * MINUTES, VERDICT_COUNTED, false, T0 + 300 * MINUTES },
		{ "late", "h", T0 + 300 * MINUTES, T0, VERDICT_COUNTED, true, T0 + 300 * MINUTES },
		{ "record without a usable timestamp", "i", -1, T0 + 400 * MINUTES, VERDICT_COUNTED, false, T0 + 300 * MINUTES },
		{ "timestamps may be anything", "j", INT64_MAX, T0, VERDICT_COUNTED, true, T0 + 300 * MINUTES },
		{ "T never falls", "j", INT64_MIN, T0, VERDICT_DUPLICATE, false, T0 + 300 * MINUTES },
	};
	/* clang-format on */
	struct counters counters = { 0 };
	int64_t before_ms = DATETIME_NONE;
	struct fold fold;

	(void)state;
	fold_init(&fold, &rules);
	assert_false(fold_resume(&fold, 0, &FOLD_STATE_NONE));
	horizon_start(&fold.horizon, 0, DATETIME_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(log); i++) {
		struct event event = { .time_ms = log[i].event_ms };
		int64_t late_ms = 1;
		enum verdict verdict;

		if (log[i].id)
			event.event_id = unit_text(log[i].id);
		verdict = fold_record(&fold, (int64_t)i * 2, log[i].record_ms, log[i].id ? &event : NULL,
			log[i].id ? EVENT_OK : EVENT_REJECT_TIME, &counters, &late_ms);
		if (verdict != (late_ms && rules.exclude_late ? VERDICT_EXCLUDED : log[i].verdict) ||
			(late_ms != 0) != log[i].late ||
			(late_ms && late_ms != before_ms - log[i].event_ms) ||
			fold.state.latest_event_ms != log[i].latest_event_ms)
			fail_msg("%s: verdict %d, late %" PRId64 ", event time %" PRId64, log[i].what,
				verdict, late_ms, fold.state.latest_event_ms - T0);
		before_ms = fold.state.latest_event_ms;
	}
	assert_int_equal(counters.records, ARRAY_SIZE(log));
	assert_int_equal(counters.counted, rules.exclude_late ? 7 : 10);
	assert_int_equal(counters.excluded, rules.exclude_late ? 3 : 0);
	assert_int_equal(counters.duplicate, 4);
	assert_int_equal(counters.late, 3);
	assert_int_equal(counters.rejected[EVENT_REJECT_TIME], 1);
	assert_int_equal(counters_rejected(&counters), 1);
	assert_true(fold.state.latest_record_ms == INT64_MAX);
	fold_release(&fold);
}

/* What is late is left out; all else stays as it was. */
static void test_late_excluded(void **state)
{
	rules.exclude_late = true;
	test_records(state);
	rules.exclude_late = false;
}

static enum verdict take(struct fold *fold, int64_t offset, const char *id)
{
	struct event event = { .event_id = unit_text(id), .time_ms = T0 };
	struct counters counters = { 0 };
	int64_t late_ms;

	return fold_record(fold, offset, T0 + offset, &event, EVENT_OK, &counters, &late_ms);
}

static void test_resume(void **state)
{
	struct event a = { .event_id = UNIT_TEXT("a"), .time_ms = T0 };
	struct fold_state at_3, at_5;
	struct fold fold;

	(void)state;
	fold_init(&fold, &rules);
	assert_false(fold_resume(&fold, 3, &(struct fold_state){ T0, T0 + 9 }));
	assert_int_equal(horizon_oldest_record_ms(&fold.horizon, T0 + 9), T0 + 9 - 86400000);
	horizon_start(&fold.horizon, 0, DATETIME_NONE); /* the state knows better */
	fold_warm(&fold, 0, T0, &a);
	at_3 = fold.state;
	assert_int_equal(at_3.latest_event_ms, T0); /* reading again moves no state */
	assert_int_equal(take(&fold, 3, "a"), VERDICT_DUPLICATE);
	assert_int_equal(fold.state.latest_record_ms, T0 + 9);
	assert_int_equal(take(&fold, 4, "b"), VERDICT_COUNTED);
	at_5 = fold.state;
	assert_int_equal(take(&fold, 5, "c"), VERDICT_COUNTED);

	assert_true(fold_resume(&fold, 5, &at_5)); /* a refused flush */
	assert_int_equal(take(&fold, 5, "c"), VERDICT_COUNTED);
	assert_int_equal(take(&fold, 6, "b"), VERDICT_DUPLICATE);
	assert_true(fold_resume(&fold, 3, &at_3)); /* back to the start */
	assert_int_equal(take(&fold, 4, "b"), VERDICT_COUNTED);
	fold_skip(&fold, 9); /* transaction markers */
	assert_true(fold_resume(&fold, 9, &fold.state));
	assert_false(fold_resume(&fold, 2, &FOLD_STATE_NONE)); /* nobody has looked that far back */
	horizon_start(&fold.horizon, 0, DATETIME_NONE);
	assert_int_equal(take(&fold, 2, "a"), VERDICT_COUNTED);
	assert_false(fold_resume(&fold, 4, &at_5)); /* a hole */
	fold_release(&fold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_late_excluded),
		cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
