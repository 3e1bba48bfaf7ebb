/* When orders come: more by day than by night, fewer at weekends, no two days alike. A history's times in
 * ascending order, the same for the same arguments on every machine. Reads no clock. */
#ifndef ORDERS_RHYTHM_H
#define ORDERS_RHYTHM_H

#include "tests/orders/rng.h"

struct rhythm {
	int64_t start_ms, end_ms;
	uint64_t seed, count;
	uint64_t total; /* weight of all slots */
	uint64_t below; /* weight of the slots before the present one */
	uint64_t slot; /* the present one */
	uint64_t in_slot; /* events in it */
	uint64_t k; /* the next of them */
	struct rng rng;
};

/* count times spread over [start_ms, end_ms), start_ms >= 0. */
void rhythm_init(struct rhythm *r, int64_t start_ms, int64_t end_ms, uint64_t count, uint64_t seed);

/* The next time; may be called count times. */
int64_t rhythm_next(struct rhythm *r);

#endif
