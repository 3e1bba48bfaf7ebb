/* Skewed choice among n things: the k-th has weight 1 / (k + flat), rounded to whole numbers
 * (Zipf-Mandelbrot), drawn in constant time by Vose's alias table. Whole numbers only: the same draws on
 * every machine. Read-only once made. */
#ifndef ORDERS_ZIPF_H
#define ORDERS_ZIPF_H

#include "tests/orders/rng.h"

struct zipf_slot {
	uint32_t keep; /* of 2^32: the chance of this one rather than its alias */
	uint32_t alias;
};

struct zipf {
	struct zipf_slot *slots;
	uint32_t n;
};

/* n from 1 to 10,000,000. */
void zipf_init(struct zipf *z, uint32_t n, uint32_t flat);
void zipf_release(struct zipf *z);

static inline uint32_t zipf_draw(const struct zipf *z, struct rng *r)
{
	uint64_t x = rng_next(r);
	uint32_t i = (uint32_t)((x >> 32) * z->n >> 32);

	return (uint32_t)x < z->slots[i].keep ? i : z->slots[i].alias;
}

#endif
