/* A thread that does something again and again until it is stopped: for questions to servers that may hang,
 * which must not stop folding. */
#ifndef SPEED_TICKER_H
#define SPEED_TICKER_H

#include <pthread.h>

struct ticker {
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows; not of what the thread shares with others */
	pthread_cond_t stopping;
	bool stop;
};

/* Embedded in what `arg` points to. The thread runs run(arg), a loop around ticker_rest(). */
void ticker_start(struct ticker *ticker, void *(*run)(void *), void *arg);
/* Of the thread: waits; true when it is time to end. By the monotonic clock: a wall clock that is set back
 * must not make it sleep. */
bool ticker_rest(struct ticker *ticker, int64_t ms);
/* Ends the thread. False: a question of its hangs, so it is left behind with what it uses; the process is
 * about to end. */
bool ticker_stop(struct ticker *ticker);

#endif
