#include "common/base.h"
#include "common/kernel/calendar.h"

void calendar_release(struct calendar *calendar)
{
	free(calendar->start_ms);
	*calendar = (struct calendar){ 0 };
}

int32_t calendar_day(const struct calendar *calendar, int64_t time_ms)
{
	const int64_t *start = calendar->start_ms;
	int32_t i = (int32_t)((time_ms - start[0]) / 86400000);

	assert(time_ms >= start[0] && time_ms < start[calendar->n_days]);
	if (i >= calendar->n_days)
		i = calendar->n_days - 1;
	while (time_ms < start[i]) /* the guess is off by the zone's own shifts: a day at most */
		i--;
	while (time_ms >= start[i + 1])
		i++;
	return calendar->first_day + i;
}

int64_t calendar_day_start_ms(const struct calendar *calendar, int32_t day)
{
	assert(day >= calendar->first_day && day - calendar->first_day <= calendar->n_days);
	return calendar->start_ms[day - calendar->first_day];
}
