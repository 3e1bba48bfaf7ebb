#include "common/base.h"
#include "common/zone.h"
#include "tests/unit/unit.h"

#include <time.h>

static int64_t utc(const char *text)
{
	int64_t ms = 0;

	assert_int_equal(datetime_parse(unit_text(text), &ms), 0);
	return ms;
}

static int32_t day_of(const char *text)
{
	int32_t day = 0;

	assert_int_equal(date_parse(unit_text(text), &day), 0);
	return day;
}

static void load(const char *zone, struct calendar *calendar)
{
	struct err err = { 0 };

	if (zone_load(zone, calendar, &err))
		fail_msg("%s", err.msg);
	assert_string_equal(calendar->zone, zone);
}

static void test_day_starts(void **state)
{
	/* clang-format off */
	static const struct {
		const char *zone, *day, *start;
	} cases[] = {
		{ "UTC", "1980-01-01", "1980-01-01T00:00:00Z" },
		{ "UTC", "2199-12-31", "2199-12-31T00:00:00Z" },
		{ "Europe/London", "2011-03-27", "2011-03-27T00:00:00Z" }, /* 23 hours */
		{ "Europe/London", "2011-03-28", "2011-03-27T23:00:00Z" },
		{ "Europe/London", "2011-10-30", "2011-10-29T23:00:00Z" }, /* 25 hours */
		{ "Europe/London", "2011-10-31", "2011-10-31T00:00:00Z" },
		{ "Europe/London", "2150-07-01", "2150-06-30T23:00:00Z" },
		{ "America/St_Johns", "2024-01-15", "2024-01-15T03:30:00Z" },
		{ "America/St_Johns", "2024-07-15", "2024-07-15T02:30:00Z" },
		{ "America/St_Johns", "1988-04-03", "1988-04-03T03:30:00Z" }, /* 22 hours: double summer time at 00:01 */
		{ "America/St_Johns", "1988-04-04", "1988-04-04T01:30:00Z" },
		{ "America/St_Johns", "2006-10-29", "2006-10-29T02:30:00Z" }, /* at 00:01 back to 23:01: midnight comes twice */
		{ "America/St_Johns", "2006-10-30", "2006-10-30T03:30:00Z" },
		{ "Asia/Kathmandu", "1985-12-31", "1985-12-30T18:30:00Z" },
		{ "Asia/Kathmandu", "1986-01-01", "1985-12-31T18:30:00Z" }, /* 00:00 became 00:15 in that very moment */
		{ "Asia/Kathmandu", "1986-01-02", "1986-01-01T18:15:00Z" },
		{ "Australia/Lord_Howe", "2024-01-15", "2024-01-14T13:00:00Z" },
		{ "Australia/Lord_Howe", "2024-07-15", "2024-07-14T13:30:00Z" }, /* shifts by half an hour */
		{ "America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00:00Z" },
		{ "America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z" }, /* midnight is skipped: begins at 01:00 */
		{ "America/Sao_Paulo", "2018-11-05", "2018-11-05T02:00:00Z" },
		{ "America/Sao_Paulo", "2019-02-16", "2019-02-16T02:00:00Z" },
		{ "America/Sao_Paulo", "2019-02-17", "2019-02-17T03:00:00Z" }, /* back to 23:00: the day before has 25 hours */
		{ "Asia/Beirut", "2022-03-27", "2022-03-26T22:00:00Z" }, /* midnight is skipped */
		{ "Asia/Beirut", "2022-03-28", "2022-03-27T21:00:00Z" },
		{ "Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z" },
		{ "Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z" }, /* there was no such day: it is empty */
		{ "Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z" },
		{ "Pacific/Apia", "2012-01-01", "2011-12-31T10:00:00Z" },
		{ "Pacific/Chatham", "2024-07-01", "2024-06-30T11:15:00Z" },
		{ "Etc/GMT+12", "2024-07-01", "2024-07-01T12:00:00Z" },
		{ "Etc/GMT-14", "2024-07-01", "2024-06-30T10:00:00Z" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct calendar calendar;
		int64_t start;
		char buf[DATETIME_TEXT_MAX];

		load(cases[i].zone, &calendar);
		start = calendar_day_start_ms(&calendar, day_of(cases[i].day));
		datetime_format(start, buf);
		if (start != utc(cases[i].start))
			fail_msg("%s %s starts at %s", cases[i].zone, cases[i].day, buf);
		calendar_release(&calendar);
	}
}

/* clang-format off */
static const char *const zones[] = { "UTC", "Europe/London", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe",
	"America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "Pacific/Kwajalein", "Africa/Casablanca", "America/Havana",
	"Asia/Tehran", "Asia/Gaza", "Antarctica/Troll", "Africa/Cairo", "Pacific/Kiritimati", "America/Scoresbysund" };
/* clang-format on */

/* The day that the C library's clock shows, at random times and around every day's start. */
static void check_time(const struct calendar *calendar, int64_t ms, bool repeated)
{
	int32_t day = calendar_day(calendar, ms);
	time_t at = ms / 1000;
	struct tm tm;
	int32_t shown;

	assert_true(
		calendar_day_start_ms(calendar, day) <= ms && ms < calendar_day_start_ms(calendar, day + 1));
	localtime_r(&at, &tm);
	shown = date_from_civil(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	if (day != shown && !(repeated && day == shown + 1)) /* after its first midnight a day goes on,
								whatever the clock shows */
		fail_msg("%s: %" PRId64 " is in day %" PRId32 ", the clock shows %" PRId32, calendar->zone,
			ms, day, shown);
}

static void test_against_clock(void **state)
{
	struct unit_random random = { unit_seed(__func__) };

	(void)state;
	for (size_t z = 0; z < ARRAY_SIZE(zones); z++) {
		/* clocks that went back over midnight after it had struck */
		bool repeats = strcmp(zones[z], "America/St_Johns") == 0 ||
			       strcmp(zones[z], "America/Scoresbysund") == 0 ||
			       strcmp(zones[z], "Asia/Gaza") == 0;
		struct calendar calendar;
		int32_t last;

		load(zones[z], &calendar);
		last = calendar.first_day + calendar.n_days;
		assert_int_equal(calendar.first_day, day_of("1980-01-01") - 2);
		assert_int_equal(last, day_of("2199-12-31") + 3);
		assert_true(calendar.start_ms[0] <= DATETIME_MIN_MS);
		assert_true(calendar.start_ms[calendar.n_days] >= DATETIME_END_MS);
		for (int32_t d = 0; d < calendar.n_days; d++) {
			int64_t start = calendar.start_ms[d];

			assert_true(start <= calendar.start_ms[d + 1]);
			assert_int_equal(start % MINUTE_MS, 0);
			if (d % 7 && start < utc("2030-01-01T00:00:00Z")) {
				check_time(&calendar, start, repeats);
				check_time(&calendar, start + 3599999, repeats);
				if (d)
					check_time(&calendar, start - 1, repeats);
			}
		}
		for (int i = 0; i < 2000; i++)
			check_time(&calendar,
				DATETIME_MIN_MS +
					unit_random_below(&random, DATETIME_END_MS - DATETIME_MIN_MS),
				repeats);
		calendar_day(&calendar, DATETIME_MIN_MS);
		calendar_day(&calendar, DATETIME_END_MS - 1);
		calendar_release(&calendar);
	}
}

/* No time belongs to an empty day, and the days around it are found as ever. */
static void test_empty_day(void **state)
{
	struct calendar calendar;
	int32_t empty = day_of("2011-12-30");

	(void)state;
	load("Pacific/Apia", &calendar);
	assert_true(calendar_day_start_ms(&calendar, empty) == calendar_day_start_ms(&calendar, empty + 1));
	assert_int_equal(calendar_day(&calendar, utc("2011-12-30T09:59:59.999Z")), empty - 1);
	assert_int_equal(calendar_day(&calendar, utc("2011-12-30T10:00:00Z")), empty + 1);
	assert_int_equal(calendar_day(&calendar, utc("2011-12-31T09:59:59.999Z")), empty + 1);
	assert_int_equal(calendar_day(&calendar, utc("2011-12-31T10:00:00Z")), empty + 2);
	calendar_release(&calendar);
	calendar_release(&calendar);
}

static void test_unknown_zone(void **state)
{
	/* clang-format off */
	static const char *const names[] = { "", "Mars/Olympus", "Europe", "europe/london", "../zoneinfo/UTC", "/etc/passwd",
		"right/UTC", "posix/UTC", "posixrules", "Europe/London ", "Europe/../UTC", "Europe//", "UTC\n", "GMT0BST", "EST5EDT,M3",
		":UTC", "tzdata.zi", "zone.tab",
		"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct calendar calendar = { .n_days = 7 };
		struct err err = { 0 };

		if (zone_load(names[i], &calendar, &err) != -1)
			fail_msg("'%s' is taken for a zone", names[i]);
		assert_int_equal(err.code, ERR_USAGE);
		assert_non_null(strstr(err.msg, names[i]));
		assert_int_equal(calendar.n_days, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_day_starts),
		cmocka_unit_test(test_against_clock),
		cmocka_unit_test(test_empty_day),
		cmocka_unit_test(test_unknown_zone),
	};

	return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
