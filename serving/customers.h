/* What one customer ordered in the last hours: batch rows and the speed layer's fields, read when asked for
 * and not kept.
 *
 * Happy path: the run's minutes of the customer from Postgres and, next to it, his fields of the used
 * generations from every partition in Redis; each reply's own state must join the run. What can fail:
 * - a state that does not join: all over again with the newest snapshot, three times, then as if Redis were
 *   away;
 * - Redis away: the batch part alone, marked speed_unavailable;
 * - Postgres away, or too many who ask: a problem with status 503. One thread: the loop's. */
#ifndef SERVING_CUSTOMERS_H
#define SERVING_CUSTOMERS_H

#include <sys/queue.h>

#include "serving/live.h"
#include "serving/waiter.h"

enum { CUSTOMERS_MAX = 256, CUSTOMERS_TRIES = 3, CUSTOMERS_RETRY_MS = 60 };

struct customer_load;
TAILQ_HEAD(customer_load_list, customer_load);

struct customers {
	struct live *live; /* borrowed */
	struct pg_link *link;
	uv_timer_t timer; /* of tries that wait */
	struct customer_load_list loads; /* under way */
	size_t n_loads;
	bool closing;
};

MUST_USE int customers_open(struct customers *customers, uv_loop_t *loop, struct live *live, struct err *err);
/* Whoever waits is told. After live_close(). The struct must live until the loop has closed its handles. */
void customers_close(struct customers *customers);

/* There must be a snapshot. waiter->done will be called, maybe before this returns; waiter->question: route
 * CUSTOMER. */
void customers_ask(struct customers *customers, struct waiter *waiter);

#endif
