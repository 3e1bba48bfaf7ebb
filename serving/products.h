/* Top products: the products of one business day, or of several together, batch rows and the speed layer's
 * chunks, read when asked for. One load serves all who ask meanwhile. What was loaded is fresh for a second,
 * or for ten times as long as loading took, so that asking for products takes a tenth of Redis' time at most;
 * for PRODUCTS_STALE_MS more it still answers while a newer one is loaded.
 *
 * Happy path: the run's products of the days from Postgres and, next to it, the days' chunks of the used
 * generations from Redis, a partition and day at a time; each reply's own state must join the run. What can
 * fail:
 * - a state that does not join: all over again with the newest snapshot, three times, then as if Redis were
 * away;
 * - Redis away: what the last load of these days had from it, marked speed_stale, for as long as the other
 *   answers keep it; if there was none, the batch part alone, marked speed_unavailable;
 * - Postgres away: a problem with status 503. One thread: the loop's. */
#ifndef SERVING_PRODUCTS_H
#define SERVING_PRODUCTS_H

#include "serving/live.h"
#include "serving/waiter.h"

enum {
	PRODUCTS_KEPT = 16,
	PRODUCTS_FRESH_MS = 1000,
	PRODUCTS_STALE_MS = 2000,
	PRODUCTS_SHARE = 10,
	PRODUCTS_TRIES = 3,
	PRODUCTS_RETRY_MS = 60
};

struct product_load;

struct products {
	struct live *live; /* borrowed */
	struct pg_link *link;
	uv_timer_t timer; /* of tries that wait */
	struct product_load *kept[PRODUCTS_KEPT]; /* under way, or done and kept */
};

MUST_USE int products_open(struct products *products, uv_loop_t *loop, struct live *live, struct err *err);
/* The struct must live until the loop has closed its handles. */
void products_close(struct products *products);

/* Returns a body (the caller's reference) when one is at hand; NULL and *ret_waits true when waiter->done
 * will be called; NULL and false with a problem. waiter->question: route PRODUCTS. */
struct body *products_ask(
	struct products *products, struct waiter *waiter, bool *ret_waits, struct problem *problem);

#endif
