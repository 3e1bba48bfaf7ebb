/* Business days of one IANA time zone: day D is [local midnight of D, local midnight of D + 1), as a rule 23
 * to 25 hours long. A day that the zone's clock skipped whole (Pacific/Apia, 2011-12-30) is empty: it starts
 * where the next one starts, and no time belongs to it. The table of all day starts is made once at start
 * (common/zone.h); lookups are pure. Immutable after that; any thread. */
#ifndef COMMON_KERNEL_CALENDAR_H
#define COMMON_KERNEL_CALENDAR_H

#include "common/kernel/datetime.h"

struct calendar {
	char zone[64];
	int32_t first_day;
	int32_t n_days;
	int64_t *start_ms; /* owned; n_days + 1 entries, never falling, whole minutes */
};

void calendar_release(struct calendar *calendar);

/* time_ms within [DATETIME_MIN_MS, DATETIME_END_MS) */
int32_t calendar_day(const struct calendar *calendar, int64_t time_ms);
/* Start of `day`; day may be one past the last. */
int64_t calendar_day_start_ms(const struct calendar *calendar, int32_t day);

#endif
