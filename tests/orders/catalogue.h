/* The products of the made-up shop: each has a name and one price per currency for good. Kept as finished
 * JSON, so that a line of an order is one copy and its quantity. Read-only once made. */
#ifndef ORDERS_CATALOGUE_H
#define ORDERS_CATALOGUE_H

#include "tests/orders/text.h"
#include "tests/orders/zipf.h"

#define CATALOGUE_LINE_MAX 160

struct catalogue_item {
	uint32_t at, len; /* in json: the line up to "quantity": */
	uint32_t price_e4;
};

struct catalogue {
	struct zipf popularity;
	struct text json;
	struct catalogue_item *items; /* [product * n_currencies + currency] */
	unsigned n_currencies;
};

/* decimals[n_currencies] of each currency, 0 to 4. */
void catalogue_init(struct catalogue *c, uint32_t n_products, const unsigned *decimals, unsigned n_currencies,
	uint64_t seed);
void catalogue_release(struct catalogue *c);

static inline const struct catalogue_item *catalogue_item(
	const struct catalogue *c, uint32_t product, unsigned currency)
{
	return &c->items[(size_t)product * c->n_currencies + currency];
}

#endif
