/* What the unit tests share: cmocka, texts from literals, and random numbers that can be had again.
 *
 * A random test prints its seed; UNIT_SEED=that number runs the same case again. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include "common/base.h"
#include "common/kernel/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define UNIT_TEXT(literal) ((struct text){ literal, sizeof(literal) - 1 })

static inline struct text unit_text(const char *s)
{
	return (struct text){ s, strlen(s) };
}

struct unit_random {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t unit_random_next(struct unit_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 0 to n - 1 */
static inline int64_t unit_random_below(struct unit_random *random, int64_t n)
{
	return (int64_t)(unit_random_next(random) % (uint64_t)n);
}

static inline bool unit_random_chance(struct unit_random *random, int percent)
{
	return unit_random_below(random, 100) < percent;
}

/* The seed of a random test: UNIT_SEED, or another one every time. Is printed. */
static inline uint64_t unit_seed(const char *test)
{
	const char *text = getenv("UNIT_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 10) : (uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec;
	print_message("%s: UNIT_SEED=%" PRIu64 "\n", test, seed);
	return seed;
}

#endif
