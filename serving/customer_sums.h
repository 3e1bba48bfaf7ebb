/* What one customer did in a window of minutes: confirmed and provisional parts side by side. Pure; one
 * thread. */
#ifndef SERVING_CUSTOMER_SUMS_H
#define SERVING_CUSTOMER_SUMS_H

#include "common/redis_handover.h"
#include "serving/snapshot.h"

/* Entry of a table, by currency. */
struct customer_sum {
	int32_t currency;
	int32_t pad;
	struct revenue confirmed, provisional; /* units stay 0 */
};

struct customer_sums {
	int64_t from, to; /* minutes since 1970, [from, to) */
	struct table currencies; /* struct customer_sum */
	int64_t first[2],
		last[2]; /* minutes of orders placed, confirmed and provisional; first > last: none */
};

void customer_sums_init(struct customer_sums *sums, int64_t from, int64_t to);
void customer_sums_release(struct customer_sums *sums);

/* What lies outside the window is left out. ERR_DATA: a sum does not fit. */
MUST_USE int customer_sums_add(struct customer_sums *sums, int64_t minute, int currency,
	const struct revenue *more, bool provisional, struct err *err);
/* Adds the chunks of kind o of a view. ERR_DATA also for a field that is none. */
MUST_USE int customer_sums_add_view(
	struct customer_sums *sums, const struct redis_view *view, struct err *err);

/* The speed view cannot be asked: what came from it is forgotten. */
void customer_sums_drop_provisional(struct customer_sums *sums);

/* The answer to a question of route CUSTOMER, whose from and to are the days of the window; the caller owns
 * one reference. complete: both layers keep the whole window. NULL with a problem. */
struct body *customer_sums_render(const struct customer_sums *sums, const struct snapshot *snapshot,
	const struct question *question, bool complete, struct problem *problem);

#endif
