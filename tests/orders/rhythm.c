/* The period is cut into slots of 15 minutes (UTC). Each gets a number of events in proportion to its weight,
 * by rounding the running sum, so that they add up; inside a slot, event k of n lies at random in the k-th
 * n-th. */
#include "common/base.h"
#include "tests/orders/rhythm.h"

#define SLOT_MS (15 * 60 * 1000)
#define HOUR_MS (60 * 60 * 1000)

static const uint8_t hour_weight[24] = { 10, 6, 4, 3, 3, 5, 12, 26, 45, 62, 72, 78, 80, 76, 70, 66, 62, 60,
	64, 72, 70, 54, 34, 18 };
static const uint8_t day_weight[7] = { 105, 110, 108, 112, 100, 70, 80 }; /* Monday first */

static uint64_t slot_end(const struct rhythm *r, uint64_t slot)
{
	uint64_t end = (uint64_t)r->start_ms + (slot + 1) * SLOT_MS;

	return end < (uint64_t)r->end_ms ? end : (uint64_t)r->end_ms;
}

static uint64_t slot_weight(const struct rhythm *r, uint64_t slot)
{
	uint64_t start = (uint64_t)r->start_ms + slot * SLOT_MS;
	uint64_t hours = start / HOUR_MS, part = start % HOUR_MS / SLOT_MS, days = hours / 24;
	uint64_t weight = hour_weight[hours % 24] * (4 - part) + hour_weight[(hours + 1) % 24] * part;

	/* 1970-01-01 was a Thursday; a day is up to 15 % better or worse than its weekday */
	weight *= day_weight[(days + 3) % 7] * (85 + rng_hash(r->seed, days) % 31);
	return weight * ((slot_end(r, slot) - start) / 1000 + 1);
}

void rhythm_init(struct rhythm *r, int64_t start_ms, int64_t end_ms, uint64_t count, uint64_t seed)
{
	assert(start_ms >= 0 && start_ms < end_ms);
	*r = (struct rhythm){ .start_ms = start_ms, .end_ms = end_ms, .count = count, .seed = seed };
	r->rng.state = seed;
	for (uint64_t slot = 0; slot * SLOT_MS < (uint64_t)(end_ms - start_ms); slot++)
		r->total += slot_weight(r, slot);
	r->slot = UINT64_MAX; /* before the first */
}

static uint64_t events_below(const struct rhythm *r, uint64_t weight)
{
	return (uint64_t)((unsigned __int128)r->count * weight / r->total);
}

int64_t rhythm_next(struct rhythm *r)
{
	while (r->k == r->in_slot) {
		uint64_t before = r->below;

		r->slot++;
		r->below += slot_weight(r, r->slot);
		r->in_slot = events_below(r, r->below) - events_below(r, before);
		r->k = 0;
	}
	uint64_t start = (uint64_t)r->start_ms + r->slot * SLOT_MS, len = slot_end(r, r->slot) - start;

	return (int64_t)(start + (r->k++ * len + rng_below(&r->rng, len)) / r->in_slot);
}
