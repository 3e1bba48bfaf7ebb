/* Random numbers that are the same on every machine: splitmix64, whole numbers only. A stream is found by its
 * number, so that what belongs to event n can be made again without the events before it. Any thread. */
#ifndef ORDERS_RNG_H
#define ORDERS_RNG_H

#include "common/base.h"

struct rng {
	uint64_t state;
};

static inline uint64_t rng_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* One to one in n, for a given key. */
static inline uint64_t rng_hash(uint64_t key, uint64_t n)
{
	return rng_mix(key + n * UINT64_C(0x9e3779b97f4a7c15));
}

static inline uint64_t rng_next(struct rng *r)
{
	r->state += UINT64_C(0x9e3779b97f4a7c15);
	return rng_mix(r->state);
}

/* From 0 to n - 1, n > 0; even but for one part in 2^64 / n. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return (uint64_t)((unsigned __int128)rng_next(r) * n >> 64);
}

#endif
