#include "common/base.h"
#include "common/kernel/datetime.h"

enum { DAY_MS = 86400000 };

/* Days are counted in eras of 400 years from 0000-03-01, so that the leap day is the last day of its year. */
enum { ERA_DAYS = 146097, EPOCH_DAYS = 719468 };

int32_t date_from_civil(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int era = (y >= 0 ? y : y - 399) / 400;
	int year_of_era = y - era * 400;
	int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

void date_to_civil(int32_t date, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t days = (int64_t)date + EPOCH_DAYS;
	int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
	int day_of_era = (int)(days - era * ERA_DAYS);
	int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int month = (5 * day_of_year + 2) / 153; /* March is 0 */

	*ret_day = day_of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = (int)(year_of_era + era * 400) + (*ret_month <= 2);
}

static int date_month_days(int year, int month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

/* n digits at `at` as a number; -1 when one is no digit. */
static int datetime_digits(const char *at, size_t n)
{
	int value = 0;

	for (size_t i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9')
			return -1;
		value = value * 10 + (at[i] - '0');
	}
	return value;
}

/* "YYYY-MM-DD" in 10 bytes */
static int date_read(const char *at, int32_t *ret_day)
{
	int year = datetime_digits(at, 4);
	int month = datetime_digits(at + 5, 2);
	int day = datetime_digits(at + 8, 2);

	if (year < 0 || at[4] != '-' || month < 1 || month > 12 || at[7] != '-')
		return -1;
	if (day < 1 || day > date_month_days(year, month))
		return -1;
	*ret_day = date_from_civil(year, month, day);
	return 0;
}

int date_parse(struct text text, int32_t *ret_day)
{
	int32_t day;

	if (text.len != 10 || date_read(text.at, &day))
		return -1;
	if ((int64_t)day * DAY_MS < DATETIME_MIN_MS || (int64_t)day * DAY_MS >= DATETIME_END_MS)
		return -1;
	*ret_day = day;
	return 0;
}

/* "Z" or "+hh:mm", which must be all that is left */
static int datetime_offset(const char *at, size_t len, int *ret_minutes)
{
	int hours, minutes;

	if (len == 1 && (*at == 'Z' || *at == 'z')) {
		*ret_minutes = 0;
		return 0;
	}
	if (len != 6 || (*at != '+' && *at != '-') || at[3] != ':')
		return -1;
	hours = datetime_digits(at + 1, 2);
	minutes = datetime_digits(at + 4, 2);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return -1;
	*ret_minutes = (hours * 60 + minutes) * (*at == '-' ? -1 : 1);
	return 0;
}

/* ".123456", if it is there; returns its length, or -1 for a point without digits */
static int64_t datetime_fraction(const char *at, size_t len, int *ret_ms)
{
	size_t n = 1;
	int unit = 100;

	*ret_ms = 0;
	if (len == 0 || *at != '.')
		return 0;
	for (; n < len && at[n] >= '0' && at[n] <= '9'; n++, unit /= 10)
		*ret_ms += (at[n] - '0') * unit;
	return n > 1 ? (int64_t)n : -1;
}

int datetime_parse(struct text text, int64_t *ret_ms)
{
	const char *at = text.at;
	int hour, minute, second, fraction_ms, offset;
	int64_t fraction_len, minutes, ms;
	int32_t day;

	if (text.len < 20 || date_read(at, &day))
		return -1;
	if ((at[10] != 'T' && at[10] != 't') || at[13] != ':' || at[16] != ':')
		return -1;
	hour = datetime_digits(at + 11, 2);
	minute = datetime_digits(at + 14, 2);
	second = datetime_digits(at + 17, 2);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return -1;
	fraction_len = datetime_fraction(at + 19, text.len - 19, &fraction_ms);
	if (fraction_len < 0)
		return -1;
	if (datetime_offset(at + 19 + fraction_len, text.len - 19 - (size_t)fraction_len, &offset))
		return -1;
	minutes = (int64_t)day * 1440 + hour * 60 + minute - offset;
	ms = minutes * MINUTE_MS + second * 1000 + fraction_ms;
	if (second == 60) { /* a leap second ends a day of UTC */
		if ((minutes + 1) % 1440 != 0)
			return -1;
		ms = minutes * MINUTE_MS + MINUTE_MS - 1;
	}
	if (ms < DATETIME_MIN_MS || ms >= DATETIME_END_MS)
		return -1;
	*ret_ms = ms;
	return 0;
}

static char *datetime_put(char *at, int value, int n)
{
	for (int i = n - 1; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + n;
}

size_t date_format(int32_t day, char *buf)
{
	int year, month, month_day;
	char *at = buf;

	date_to_civil(day, &year, &month, &month_day);
	assert(year >= 0 && year <= 9999);
	at = datetime_put(at, year, 4);
	*at++ = '-';
	at = datetime_put(at, month, 2);
	*at++ = '-';
	at = datetime_put(at, month_day, 2);
	*at = '\0';
	return (size_t)(at - buf);
}

size_t datetime_format(int64_t ms, char *buf)
{
	const int64_t min = (int64_t)date_from_civil(0, 1, 1) * DAY_MS;
	const int64_t max = ((int64_t)date_from_civil(9999, 12, 31) + 1) * DAY_MS - 1;
	int32_t day;
	int rest;
	char *at;

	ms = ms < min ? min : ms > max ? max : ms;
	day = (int32_t)((ms >= 0 ? ms : ms - (DAY_MS - 1)) / DAY_MS);
	rest = (int)(ms - (int64_t)day * DAY_MS);
	at = buf + date_format(day, buf);
	*at++ = 'T';
	at = datetime_put(at, rest / 3600000, 2);
	*at++ = ':';
	at = datetime_put(at, rest / MINUTE_MS % 60, 2);
	*at++ = ':';
	at = datetime_put(at, rest / 1000 % 60, 2);
	*at++ = '.';
	at = datetime_put(at, rest % 1000, 3);
	*at++ = 'Z';
	*at = '\0';
	return (size_t)(at - buf);
}
