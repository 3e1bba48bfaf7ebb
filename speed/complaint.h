/* How often a worker repeats a complaint. */
#ifndef SPEED_COMPLAINT_H
#define SPEED_COMPLAINT_H

#include "common/clock.h"

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
