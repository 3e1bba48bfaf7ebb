/* Questions whose answers take milliseconds to make (long ranges, products, customers, runs): one after the
 * other, a little in each turn of the loop, so that whoever asks for one day need not wait for all of them.
 * One thread: the loop's. */
#ifndef SERVING_COSTLY_H
#define SERVING_COSTLY_H

#include "serving/customers.h"
#include "serving/products.h"
#include "serving/rows.h"
#include "serving/runs.h"

enum {
	COSTLY_TURN_NS = 2000 * 1000, /* in each turn of the loop; one answer may take longer */
	COSTLY_BODIES_MAX_BYTES = 128 << 20, /* no further large answers while slow readers hold so much */
};

struct costly {
	struct live *live; /* borrowed */
	struct products *products; /* borrowed */
	struct customers *customers; /* borrowed */
	struct rows *rows; /* borrowed */
	struct runs *runs; /* borrowed */
	uv_idle_t idle; /* runs while somebody waits */
	struct waiter *first, **end; /* borrowed */
	bool opened;
};

void costly_open(struct costly *costly, uv_loop_t *loop, struct live *live, struct products *products,
	struct customers *customers, struct rows *rows, struct runs *runs);
/* Whoever waits is told. Half-open is fine; the struct must live until the loop has closed its handles. */
void costly_close(struct costly *costly);

/* There must be a snapshot, but for questions about runs. waiter->done will be called. */
void costly_ask(struct costly *costly, struct waiter *waiter);

#endif
