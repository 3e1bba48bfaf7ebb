/* Times are milliseconds since 1970-01-01T00:00:00Z, days are days since 1970-01-01 of the proleptic
 * Gregorian calendar. RFC 3339 in and out. Pure; any thread. */
#ifndef COMMON_KERNEL_DATETIME_H
#define COMMON_KERNEL_DATETIME_H

#include "common/kernel/text.h"

/* The span of times that the system counts: [1980-01-01, 2200-01-01), UTC. */
#define DATETIME_MIN_MS INT64_C(315532800000)
#define DATETIME_END_MS INT64_C(7258118400000)
#define DATETIME_NONE INT64_MIN /* "no such time yet" */

enum { DATETIME_TEXT_MAX = 32, DATE_TEXT_MAX = 16, MINUTE_MS = 60000 };

/* RFC 3339 date-time as docs/events.md says (event_time); -1 when it is not, or outside the span. */
MUST_USE int datetime_parse(struct text text, int64_t *ret_ms);

/* YYYY-MM-DD, a real date from 1980-01-01 to 2199-12-31; -1 when it is not. */
MUST_USE int date_parse(struct text text, int32_t *ret_day);

/* "2026-11-23T10:00:00.120Z" and "2026-11-23"; both terminated; return the length. A record may carry any
 * timestamp, so a time outside the years 0 to 9999 is written as the nearest end of them; a day must lie
 * within. */
size_t datetime_format(int64_t ms, char *buf);
size_t date_format(int32_t day, char *buf);

int32_t date_from_civil(int year, int month, int day);
void date_to_civil(int32_t date, int *ret_year, int *ret_month, int *ret_day);

#endif
