/* Products of some business days: confirmed and provisional parts side by side, and the ranking. Pure; one
 * thread. */
#ifndef SERVING_PRODUCT_TABLE_H
#define SERVING_PRODUCT_TABLE_H

#include "common/kernel/event.h"
#include "common/redis_handover.h"
#include "serving/snapshot.h"

struct product_row_key {
	int32_t currency;
	char sku[EVENT_ID_MAX_BYTES]; /* zeros behind it; a sku holds no NUL */
};

/* Entry of a table. */
struct product_row {
	struct product_row_key key;
	uint32_t pad;
	char *name; /* owned; or NULL */
	int64_t confirmed_e4, confirmed_units, provisional_e4, provisional_units;
};

struct product_table {
	struct table rows;
	int *currencies; /* owned; that any row has */
	size_t n_currencies;
};

void product_table_init(struct product_table *products);
void product_table_release(struct product_table *products);

/* NULL when the sku is longer than any can be. */
struct product_row *product_table_put(struct product_table *products, int currency, struct text sku);
/* What the products of that sku without a name are called. */
void product_table_name(struct product_table *products, struct text sku, const char *name);
/* Adds a chunk of the speed view (p:DAY). */
MUST_USE int product_table_add_chunk(
	struct product_table *products, const struct redis_chunk *chunk, struct err *err);

enum { PRODUCT_TABLE_UNNAMED_MAX_BYTES = 4 << 20 };

/* A Postgres array of the products without a name, which the caller frees; NULL when all have one. Those that
 * would make it larger than the greatest size stay without, some 300,000 usual ones before. */
char *product_table_unnamed(const struct product_table *products);

/* The answer to a question of route PRODUCTS; the caller owns one reference. NULL with a problem. */
struct body *product_table_render(const struct product_table *products, const struct snapshot *snapshot,
	const struct question *question, struct problem *problem);

#endif
