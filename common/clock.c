#include "common/base.h"
#include "common/clock.h"

#include <time.h>

static int64_t clock_read_ms(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

int64_t clock_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	return clock_read_ms(CLOCK_REALTIME);
}

void clock_sleep_ms(int64_t ms)
{
	struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&wait, NULL);
}
