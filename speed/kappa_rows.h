/* What a flush adds to the Kappa tables: the parameters of sql/kappa_flush.sql, each a Postgres array in text
 * form, of one or more partitions. Pure; one thread. */
#ifndef SPEED_KAPPA_ROWS_H
#define SPEED_KAPPA_ROWS_H

#include "speed/values.h"

/* In the order of the statement's parameters, from $2 on. */
enum kappa_column {
	KAPPA_PARTITION,
	KAPPA_EXPECTED,
	KAPPA_NEXT,
	KAPPA_LATEST_EVENT,
	KAPPA_LATEST_RECORD,
	KAPPA_TAIL,
	KAPPA_FROM_HOUR,
	KAPPA_COUNTERS, /* partition; so with the first of each group */
	KAPPA_BUCKETS = KAPPA_COUNTERS + 3,
	KAPPA_PRODUCTS = KAPPA_BUCKETS + 9,
	KAPPA_CUSTOMERS = KAPPA_PRODUCTS + 6,
	KAPPA_LATE = KAPPA_CUSTOMERS + 8,
	KAPPA_DUPLICATES = KAPPA_LATE + 6,
	KAPPA_LOST = KAPPA_DUPLICATES + 3,
	KAPPA_NAMES = KAPPA_LOST + 3,
	KAPPA_N_COLUMNS = KAPPA_NAMES + 4,
};

struct kappa_array {
	char *text; /* owned */
	size_t len, capacity;
};

/* Starts zeroed. */
struct kappa_rows {
	struct kappa_array columns[KAPPA_N_COLUMNS];
	size_t n_partitions;
};

void kappa_rows_release(struct kappa_rows *rows);
void kappa_rows_clear(struct kappa_rows *rows);

/* Adds a partition's flush. customers_hour: orders by customer before this hour since 1970 are not kept, and
 * those kept before go when `drop` is set. */
void kappa_rows_add(struct kappa_rows *rows, int partition, const struct redis_flush *flush,
	const struct values *values, const struct calendar *calendar, int64_t customers_hour, bool drop);

/* Ends the arrays: the statement's parameters from $2 on, borrowed until the next call. */
void kappa_rows_params(struct kappa_rows *rows, const char *params[KAPPA_N_COLUMNS]);

/* --- one array --- */

void kappa_array_clear(struct kappa_array *array);
void kappa_array_number(struct kappa_array *array, int64_t number);
void kappa_array_time(struct kappa_array *array, int64_t ms); /* DATETIME_NONE: null */
void kappa_array_text(struct kappa_array *array, struct text text);
const char *kappa_array_done(struct kappa_array *array);

#endif
