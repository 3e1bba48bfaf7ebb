#include "common/base.h"
#include "common/kernel/datetime.h"
#include "tests/unit/unit.h"

#include <time.h>

#define BAD INT64_MIN

static void test_parse(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{ "2010-12-01T08:26:00.000+00:00", 1291191960000 },
		{ "2010-12-01T08:26:00Z", 1291191960000 },
		{ "2010-12-01t08:26:00z", 1291191960000 },
		{ "2010-12-01T08:26:00-00:00", 1291191960000 },
		{ "2010-12-01T13:56:00+05:30", 1291191960000 },
		{ "2010-11-30T22:26:00-10:00", 1291191960000 },
		{ "2010-12-01T08:26:00.1Z", 1291191960100 },
		{ "2010-12-01T08:26:00.12Z", 1291191960120 },
		{ "2010-12-01T08:26:00.1239999999999999999999999999999999999999Z", 1291191960123 },
		{ "2010-12-01T08:26:00.9999Z", 1291191960999 },
		{ "2010-12-01T08:26:00.0000000001+23:59", 1291191960000 - 86340000 },
		{ "2010-12-01T00:00:00Z", 1291161600000 }, { "2012-02-29T23:59:59Z", 1330559999000 },
		{ "2000-02-29T00:00:00Z", 951782400000 },
		/* the span */
		{ "1980-01-01T00:00:00Z", DATETIME_MIN_MS }, { "1979-12-31T23:59:59.999Z", BAD },
		{ "1979-12-31T23:00:00-01:00", DATETIME_MIN_MS }, { "1980-01-01T00:59:59+01:00", BAD },
		{ "2199-12-31T23:59:59.999999Z", DATETIME_END_MS - 1 }, { "2200-01-01T00:00:00Z", BAD },
		{ "2200-01-01T09:59:59.999+10:00", DATETIME_END_MS - 1 }, { "2199-12-31T23:00:00-01:00", BAD },
		{ "0000-01-01T00:00:00Z", BAD }, { "9999-12-31T23:59:59Z", BAD },
		/* leap seconds: only where UTC reads 23:59:60 */
		{ "2016-12-31T23:59:60Z", 1483228799999 }, { "2016-12-31T23:59:60.5Z", 1483228799999 },
		{ "2017-01-01T05:29:60+05:30", 1483228799999 }, { "2016-12-31T15:59:60.999-08:00", 1483228799999 },
		{ "2016-12-31T23:58:60Z", BAD }, { "2016-12-31T22:59:60Z", BAD }, { "2016-12-31T23:59:61Z", BAD },
		{ "2016-12-31T23:59:60+05:30", BAD }, { "2199-12-31T23:59:60Z", DATETIME_END_MS - 1 },
		{ "1979-12-31T23:59:60Z", BAD }, { "2016-06-15T23:59:60Z", 1466035199999 },
		/* no such day or time */
		{ "2011-02-29T00:00:00Z", BAD }, { "2100-02-29T00:00:00Z", BAD }, { "2011-04-31T00:00:00Z", BAD },
		{ "2011-00-10T00:00:00Z", BAD }, { "2011-13-10T00:00:00Z", BAD }, { "2011-01-00T00:00:00Z", BAD },
		{ "2011-01-32T00:00:00Z", BAD }, { "2011-01-10T24:00:00Z", BAD }, { "2011-01-10T00:60:00Z", BAD },
		{ "2011-01-10T00:00:00+24:00", BAD }, { "2011-01-10T00:00:00+00:60", BAD },
		/* no such form */
		{ "", BAD }, { "2011-01-10", BAD }, { "2011-01-10T00:00:00", BAD }, { "2011-01-10 00:00:00Z", BAD },
		{ "2011-01-10T00:00Z", BAD }, { "2011-01-10T00:00:00.Z", BAD }, { "2011-01-10T00:00:00,5Z", BAD },
		{ "2011-01-10T00:00:00+0100", BAD }, { "2011-01-10T00:00:00+01", BAD }, { "2011-01-10T00:00:00+1:00", BAD },
		{ "2011-01-10T00:00:00ZZ", BAD }, { "2011-01-10T00:00:00Z ", BAD }, { " 2011-01-10T00:00:00Z", BAD },
		{ "2011-1-10T00:00:00.00Z", BAD }, { "20110110T000000Z-----", BAD }, { "+2011-01-10T00:00:00Z", BAD },
		{ "-011-01-10T00:00:00Z", BAD }, { "2011-01-10T-1:00:00Z", BAD }, { "2011-01-10T00:00:0aZ", BAD },
		{ "2011/01/10T00:00:00Z", BAD }, { "2011-01-10T00-00-00Z", BAD }, { "2011-01-10T00:00:00+01:00:00", BAD },
		{ "2011-01-10T00:00:00+ab:cd", BAD }, { "2011-01-10T00:00:00 01:00", BAD }, { "1291191960000", BAD },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t ms = BAD;
		int result = datetime_parse(unit_text(cases[i].text), &ms);

		if (result != (cases[i].ms == BAD ? -1 : 0) || ms != cases[i].ms)
			fail_msg("'%s' gave %d, %" PRId64, cases[i].text, result, ms);
	}
}

/* Every prefix of a valid time and every byte replaced: never out of bounds, never accepted with a byte too
 * few. */
static void test_parse_truncated(void **state)
{
	static const char text[] = "2010-12-01T08:26:00.000+00:00";

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char *copy = malloc(len ? len : 1);
		int64_t ms;

		assert_non_null(copy);
		memcpy(copy, text, len);
		assert_int_equal(datetime_parse((struct text){ copy, len }, &ms), -1);
		free(copy);
	}
}

static void test_date_parse(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t day;
	} cases[] = {
		{ "1980-01-01", 3652 }, { "2011-11-30", 15308 }, { "2012-02-29", 15399 }, { "2199-12-31", 84005 },
		{ "1979-12-31", BAD }, { "2200-01-01", BAD }, { "2011-02-29", BAD }, { "2011-2-29", BAD }, { "", BAD },
		{ "2011-11-31", BAD }, { "2011-11-30 ", BAD }, { "2011-11-3", BAD }, { "20111130", BAD }, { "today", BAD },
		{ "2011-11-3o", BAD },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int32_t day = -7;
		int result = date_parse(unit_text(cases[i].text), &day);

		if (result != (cases[i].day == BAD ? -1 : 0) ||
			day != (cases[i].day == BAD ? -7 : cases[i].day))
			fail_msg("'%s' gave %d, %" PRId32, cases[i].text, result, day);
	}
}

static void test_format(void **state)
{
	/* clang-format off */
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z" }, { 1291191960123, "2010-12-01T08:26:00.123Z" },
		{ -1, "1969-12-31T23:59:59.999Z" }, { -86400000, "1969-12-31T00:00:00.000Z" },
		{ DATETIME_END_MS - 1, "2199-12-31T23:59:59.999Z" }, { INT64_MAX, "9999-12-31T23:59:59.999Z" },
		{ INT64_MIN, "0000-01-01T00:00:00.000Z" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[DATETIME_TEXT_MAX];

		assert_int_equal(datetime_format(cases[i].ms, buf), strlen(cases[i].text));
		assert_string_equal(buf, cases[i].text);
	}
}

/* Every day of the span, against the C library. */
static void test_every_day(void **state)
{
	(void)state;
	for (int32_t day = DATETIME_MIN_MS / 86400000; day < DATETIME_END_MS / 86400000; day++) {
		time_t at = (time_t)day * 86400;
		char buf[DATE_TEXT_MAX];
		struct tm tm;
		int year, month, month_day;
		int32_t back;

		gmtime_r(&at, &tm);
		date_to_civil(day, &year, &month, &month_day);
		assert_int_equal(year, tm.tm_year + 1900);
		assert_int_equal(month, tm.tm_mon + 1);
		assert_int_equal(month_day, tm.tm_mday);
		assert_int_equal(date_from_civil(year, month, month_day), day);
		date_format(day, buf);
		assert_int_equal(date_parse(unit_text(buf), &back), 0);
		assert_int_equal(back, day);
	}
}

static void test_parse_undoes_format(void **state)
{
	struct unit_random random = { unit_seed(__func__) };

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t ms = DATETIME_MIN_MS + unit_random_below(&random, DATETIME_END_MS - DATETIME_MIN_MS),
			back;
		char buf[DATETIME_TEXT_MAX];

		datetime_format(ms, buf);
		assert_int_equal(datetime_parse(unit_text(buf), &back), 0);
		assert_int_equal(back, ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_truncated),
		cmocka_unit_test(test_date_parse),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_every_day),
		cmocka_unit_test(test_parse_undoes_format),
	};

	return cmocka_run_group_tests_name("datetime", tests, NULL, NULL);
}
