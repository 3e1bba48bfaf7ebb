/* Answers made of rows of the published run, read when asked for and not kept: customers and segments. One
 * statement each. What can fail: Postgres away, or too many who ask: a problem with status 503. One thread:
 * the loop's. */
#ifndef SERVING_ROWS_H
#define SERVING_ROWS_H

#include "serving/live.h"
#include "serving/waiter.h"

enum { ROWS_MAX = 256 };

struct rows {
	struct live *live; /* borrowed */
	struct pg_link *link;
	size_t n_loads; /* under way */
};

MUST_USE int rows_open(struct rows *rows, uv_loop_t *loop, struct live *live, struct err *err);
/* Whoever waits is told. */
void rows_close(struct rows *rows);

/* Is it a route that is answered here? */
bool rows_knows(enum question_route route);
/* There must be a snapshot. waiter->done will be called, maybe before this returns. */
void rows_ask(struct rows *rows, struct waiter *waiter);

#endif
