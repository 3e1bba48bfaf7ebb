#include "common/base.h"
#include "speed/ticker.h"

#include "common/clock.h"

enum { TICKER_STOP_MS = 500 };

static struct timespec ticker_after(int64_t now_ms, int64_t ms)
{
	int64_t until_ms = now_ms + ms;

	return (struct timespec){ .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
}

void ticker_start(struct ticker *ticker, void *(*run)(void *), void *arg)
{
	pthread_condattr_t attributes;

	ticker->stop = false;
	pthread_mutex_init(&ticker->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&ticker->stopping, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&ticker->thread, NULL, run, arg))
		abort(); /* no thread at start is as good as no memory */
}

bool ticker_rest(struct ticker *ticker, int64_t ms)
{
	struct timespec until = ticker_after(clock_ms(), ms);
	bool stop;

	pthread_mutex_lock(&ticker->mutex);
	while (!ticker->stop && pthread_cond_timedwait(&ticker->stopping, &ticker->mutex, &until) == 0)
		;
	stop = ticker->stop;
	pthread_mutex_unlock(&ticker->mutex);
	return stop;
}

bool ticker_stop(struct ticker *ticker)
{
	struct timespec until = ticker_after(clock_wall_ms(), TICKER_STOP_MS);

	pthread_mutex_lock(&ticker->mutex);
	ticker->stop = true;
	pthread_cond_signal(&ticker->stopping);
	pthread_mutex_unlock(&ticker->mutex);
	if (pthread_timedjoin_np(ticker->thread, NULL, &until))
		return false;
	pthread_cond_destroy(&ticker->stopping);
	pthread_mutex_destroy(&ticker->mutex);
	return true;
}
