/* The made-up shop: event n of a seed, as a record. Pure: no I/O and no clock, times are arguments; whole
 * numbers only, so that the same seed and settings give the same bytes on every machine. */
#ifndef ORDERS_GENERATE_H
#define ORDERS_GENERATE_H

#include "common/err.h"
#include "tests/orders/record.h"

#define GENERATE_CURRENCIES_MAX 32

struct generate_config {
	uint64_t seed;
	uint64_t customers, products;
	const char
		*currencies; /* "GBP,EUR" or "GBP=7,EUR=3"; without weights the first are the more frequent */
	/* of all records, in 2^-32 */
	uint64_t duplicates, out_of_order, late, refunds, broken;
	uint64_t duplicate_distance; /* records back, 1 or more */
	int64_t floor_ms; /* no event is made late to before this time */
};

struct generate;

/* ERR_USAGE for a bad currency list or shares that leave no room for orders. */
MUST_USE int generate_new(const struct generate_config *config, struct generate **ret, struct err *err);
void generate_free(struct generate *g);

/* The next record, of an order placed (or whatever else) at time_ms. Borrowed until the next call. */
void generate_next(struct generate *g, int64_t time_ms, struct record *ret);

#endif
