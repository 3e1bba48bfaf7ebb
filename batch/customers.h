/* What each customer has done over all history, per currency: the base of the segments. Sums of a part of the
 * events, in bounded memory: beyond max_bytes they go to a file that has no name any more, and begin anew;
 * who stores them adds up what stands there more than once. Belongs to one thread at a time. */
#ifndef BATCH_CUSTOMERS_H
#define BATCH_CUSTOMERS_H

#include "batch/spill.h"
#include "common/kernel/tally.h"

struct customer_sum {
	struct text customer; /* borrowed, in customers_each() */
	int32_t currency;
	int32_t first_minute, last_minute; /* UTC minutes of the orders; INT32_MAX and INT32_MIN: none */
	struct revenue revenue; /* units are not added up */
};

struct customers {
	struct table sums;
	struct dictionary *texts;
	size_t max_bytes;
	struct spill spill;
	int64_t n_spilled; /* sums in the file */
	int64_t n_events; /* added, those without a customer left out */
	unsigned char *buffer; /* owned; for writing and reading the file */
	size_t len;
};

void customers_init(struct customers *customers, size_t max_bytes, const char *spill_dir);
void customers_release(struct customers *customers);

/* One counted event; without a customer nothing happens. ERR_DATA: a sum exceeds 64 bits; ERR_IO: cannot
 * spill. */
MUST_USE int customers_add(struct customers *customers, const struct event *event, struct err *err);

/* How many sums customers_each() visits. */
int64_t customers_count(const struct customers *customers);

/* Visits all sums, the same customer and currency maybe several times. -1 from the function ends it. May be
 * repeated. */
typedef int customer_sum_fn(void *arg, const struct customer_sum *sum, struct err *err);
MUST_USE int customers_each(struct customers *customers, customer_sum_fn *visit, void *arg, struct err *err);

#endif
