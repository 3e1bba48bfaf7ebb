/* Lets so many events per second through; what was not used within a tenth of a second is lost. One thread.
 */
#ifndef SPEED_THROTTLE_H
#define SPEED_THROTTLE_H

#include "common/clock.h"

#define THROTTLE_SLICE_NS INT64_C(100000000)

/* Starts zeroed but for per_second. */
struct throttle {
	int64_t per_second; /* 0: no limit; at most 10^9 */
	int64_t next_ns; /* monotonic: when the next event is allowed */
};

static inline int64_t throttle_now_ns(void)
{
	return clock_ms() * 1000000;
}

/* An event was let through. */
static inline void throttle_take(struct throttle *throttle)
{
	int64_t least_ns;

	if (!throttle->per_second)
		return;
	least_ns = throttle_now_ns() - THROTTLE_SLICE_NS;
	if (throttle->next_ns < least_ns)
		throttle->next_ns = least_ns;
	throttle->next_ns += INT64_C(1000000000) / throttle->per_second;
}

/* The next event must wait. */
static inline bool throttle_is_due(const struct throttle *throttle)
{
	return throttle->per_second && throttle->next_ns > throttle_now_ns();
}

#endif
