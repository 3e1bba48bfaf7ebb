/* The sums: revenue per bucket (UTC minute and currency), products per business day and currency, orders per
 * customer and minute, late events per business day and currency, and counters. speed adds its pending
 * increments here, batch everything. Pure; one thread. */
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
/* What the event adds to net. */
int64_t event_net_e4(const struct event *event);
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
	uint32_t sku; /* its number in tally.texts */
};

struct product {
	struct product_key key;
	uint32_t pad;
	int64_t net_e4, units;
};

struct customer_key {
	int32_t minute; /* since 1970, UTC */
	int32_t currency;
	uint32_t customer; /* its number in tally.texts */
};

/* What a customer did in one bucket. */
struct customer_minute {
	struct customer_key key;
	uint32_t pad;
	struct revenue revenue; /* units stay 0 */
};

struct late_key {
	int32_t day;
	int32_t currency;
};

/* The late events of a business day; counted ones, or by rules->exclude_late those left out. */
struct late_day {
	struct late_key key;
	int64_t events;
	int64_t net_e4; /* placed - refunded */
	int64_t worst_ms; /* of struct fold's lateness, the greatest */
};

/* Adds all but the key. -1 when the amount overflows, *sum untouched then. */
MUST_USE int late_day_add(struct late_day *sum, const struct late_day *more);

/* Numbers for texts, in order of first appearance. */
struct dictionary;
struct dictionary *dictionary_new(void);
void dictionary_free(struct dictionary *dictionary);
uint32_t dictionary_put(struct dictionary *dictionary, struct text text);
struct text dictionary_get(
	const struct dictionary *dictionary, uint32_t number); /* stays valid while it lives */
uint32_t dictionary_count(const struct dictionary *dictionary);

struct counters {
	int64_t records, counted, duplicate;
	int64_t late, excluded; /* late: of those counted or excluded */
	int64_t rejected[EVENT_N_REJECTS];
};

int64_t counters_rejected(const struct counters *counters); /* over all reasons */
void counters_add(struct counters *sum, const struct counters *more);

struct tally {
	struct table buckets; /* struct bucket */
	struct table products; /* struct product */
	struct table customers; /* struct customer_minute */
	struct table late; /* struct late_day */
	struct dictionary *texts; /* skus and customers */
	struct counters counters;
	int64_t customers_from_ms; /* older events are not kept by customer; TALLY_NO_CUSTOMERS: none is */
};

#define TALLY_NO_CUSTOMERS INT64_MAX
/* How long orders are kept by customer: the longest window that can be asked for, and an hour for clocks that
 * differ. */
#define TALLY_CUSTOMERS_MS (INT64_C(49) * 60 * MINUTE_MS)

/* tally_clear() drops a dictionary with more texts. */
enum { TALLY_TEXTS_MAX = 1000000 };

void tally_init(struct tally *tally);
void tally_release(struct tally *tally);
/* Back to zero; memory and the dictionary are kept (the dictionary is dropped beyond TALLY_TEXTS_MAX). */
void tally_clear(struct tally *tally);

/* Adds one counted event to buckets, products and customers (not to the counters). ERR_DATA on overflow; then
 * the tally is of no use. */
MUST_USE int tally_add(
	struct tally *tally, const struct calendar *calendar, const struct event *event, struct err *err);
/* Adds one late event to `late`, whether it is counted or excluded. ERR_DATA as above. */
MUST_USE int tally_add_late(struct tally *tally, const struct calendar *calendar, const struct event *event,
	int64_t late_ms, struct err *err);
/* Adds all of more's sums, but not its counters. ERR_DATA as above. */
MUST_USE int tally_merge(struct tally *sum, const struct tally *more, struct err *err);

#endif
