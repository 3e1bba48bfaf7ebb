/* The sums: revenue per bucket (UTC minute and currency), products per business day and currency, and
 * counters. speed adds its pending increments here, batch everything. Pure; one thread. */
#ifndef COMMON_KERNEL_TALLY_H
#define COMMON_KERNEL_TALLY_H

#include "common/err.h"
#include "common/kernel/calendar.h"
#include "common/kernel/event.h"
#include "common/kernel/table.h"

struct revenue {
	int64_t gross_e4, refunds_e4; /* both >= 0; net = gross - refunds */
	int64_t orders, refund_count;
	int64_t units; /* placed - refunded; may be negative */
};

/* -1 on overflow of any member, *sum untouched then. */
MUST_USE int revenue_add(struct revenue *sum, const struct revenue *more);

struct bucket_key {
	int32_t minute; /* since 1970, UTC */
	int32_t currency;
};

struct bucket {
	struct bucket_key key;
	struct revenue revenue;
};

struct product_key {
	int32_t day;
	uint16_t currency;
	uint16_t zero;
	uint32_t sku; /* its number in tally.skus */
};

struct product {
	struct product_key key;
	uint32_t pad;
	int64_t net_e4, units;
};

/* Numbers for texts, in order of first appearance. */
struct dictionary;
struct dictionary *dictionary_new(void);
void dictionary_free(struct dictionary *dictionary);
uint32_t dictionary_put(struct dictionary *dictionary, struct text text);
struct text dictionary_get(
	const struct dictionary *dictionary, uint32_t number); /* stays valid while it lives */
uint32_t dictionary_count(const struct dictionary *dictionary);

struct counters {
	int64_t records, counted, duplicate, late;
	int64_t rejected[EVENT_N_REJECTS];
};

int64_t counters_rejected(const struct counters *counters); /* over all reasons */
void counters_add(struct counters *sum, const struct counters *more);

struct tally {
	struct table buckets; /* struct bucket */
	struct table products; /* struct product */
	struct dictionary *skus;
	struct counters counters;
};

void tally_init(struct tally *tally);
void tally_release(struct tally *tally);
/* Back to zero; memory and the dictionary are kept (the dictionary is dropped beyond 1 million texts). */
void tally_clear(struct tally *tally);

/* Adds one counted event to buckets and products (not to the counters). ERR_DATA on overflow; then the tally
 * is of no use. */
MUST_USE int tally_add(
	struct tally *tally, const struct calendar *calendar, const struct event *event, struct err *err);

#endif
