/* The values in the chunks of the speed view (docs/redis.md): what a field means, and adding its value up.
 * Pure. */
#ifndef COMMON_REDIS_VALUES_H
#define COMMON_REDIS_VALUES_H

#include "common/kernel/tally.h"

#define REDIS_COUNT_MAX (INT64_C(1) << 40) /* events in one place; no partition holds more */

/* Field of r:HOUR: minute 0-59 of the hour, currency, and what: g, r, o, c, u (docs/redis.md). -1: no such
 * field. */
MUST_USE int redis_revenue_field(struct text field, int *ret_minute, int *ret_currency, char *ret_what);
/* Adds a value of r:HOUR to a sum; -1, *sum untouched, when it cannot be one: overflow, negative but for
 * units, more than REDIS_COUNT_MAX events. What is accepted can be negated, and a million counts added up. */
MUST_USE int redis_revenue_add(struct revenue *sum, char what, int64_t value);
/* Field of p:DAY: what is n (net_e4) or u (units). The sku is borrowed. */
MUST_USE int redis_product_field(struct text field, char *ret_what, int *ret_currency, struct text *ret_sku);
/* Field of d:DAY for late events: what is e (events), l (net_e4) or ^ (worst lateness, ms); -1: no such
 * field. */
MUST_USE int redis_late_field(struct text field, char *ret_what, int *ret_currency);
/* Adds a field of c, or `duplicate` of d:DAY, to *counters; -1: no such field, or no number of events. */
MUST_USE int redis_counter_add(struct counters *counters, struct text field, int64_t value);

#endif
