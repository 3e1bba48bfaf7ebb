/* The clocks of a worker, and how often it repeats a complaint. */
#ifndef SPEED_CLOCK_H
#define SPEED_CLOCK_H

#include "common/base.h"

#include <time.h>

static inline int64_t clock_read_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* For durations: never goes back; not a date. Never 0. */
static inline int64_t clock_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC) + 1;
}

/* Milliseconds since 1970. */
static inline int64_t clock_wall_ms(void)
{
	return clock_read_ms(CLOCK_REALTIME);
}

static inline void clock_sleep_ms(int64_t ms)
{
	struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&wait, NULL);
}

/* Something that goes on failing is said at first, then every 10 s; being mended ends it. Starts zeroed. */
struct complaint {
	int64_t said_ms;
};

enum { COMPLAINT_EVERY_MS = 10000 };

static inline bool complaint_due(struct complaint *complaint)
{
	int64_t now_ms = clock_ms();

	if (complaint->said_ms && now_ms - complaint->said_ms < COMPLAINT_EVERY_MS)
		return false;
	complaint->said_ms = now_ms;
	return true;
}

/* True when there was something to complain about: the caller says that it is over. */
static inline bool complaint_over(struct complaint *complaint)
{
	bool was = complaint->said_ms != 0;

	complaint->said_ms = 0;
	return was;
}

#endif
