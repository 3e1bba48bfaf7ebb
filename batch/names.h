/* The name of each product: that of the valid event with the greatest (event time, partition, offset) that
 * names it; of several lines in one event the last. Pure; one thread. */
#ifndef BATCH_NAMES_H
#define BATCH_NAMES_H

#include "common/kernel/tally.h"

struct name {
	int64_t time_ms, offset;
	int32_t partition; /* -1: the product has no name */
	uint32_t text; /* its number in names.texts */
};

struct names {
	struct name *names; /* by number of the sku in some dictionary */
	uint32_t n, capacity;
	struct dictionary *texts;
};

void names_init(struct names *names);
void names_release(struct names *names);

void names_see(struct names *names, uint32_t sku, struct text text, int64_t time_ms, int32_t partition,
	int64_t offset);
/* The product's name, or one with at == NULL. */
struct text names_get(const struct names *names, uint32_t sku);
/* Adds what `more` knows; its skus are numbers of more_skus, those of `names` of skus, which gets those that
 * it lacks. */
void names_merge(struct names *names, struct dictionary *skus, const struct names *more,
	const struct dictionary *more_skus);

#endif
