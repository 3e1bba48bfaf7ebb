#include "common/base.h"
#include "speed/values.h"

#include "common/kernel/currency.h"
#include "common/mem.h"

struct values_day {
	int32_t day; /* the key */
	int32_t pad;
	int64_t duplicate, late;
};

enum { VALUES_HOUR_MINUTES = 60 };

void values_init(struct values *values)
{
	*values = (struct values){ 0 };
	tally_init(&values->tally);
	table_init(&values->days, sizeof(struct values_day), sizeof(int32_t));
}

void values_release(struct values *values)
{
	tally_release(&values->tally);
	table_release(&values->days);
	free(values->order);
}

void values_clear(struct values *values)
{
	tally_clear(&values->tally);
	table_clear(&values->days);
}

static struct values_day *values_day(
	struct values *values, const struct fold *fold, const struct event *event)
{
	int32_t day = calendar_day(fold->rules->calendar, event->time_ms);
	bool is_new;

	return table_put(&values->days, &day, &is_new);
}

int values_add(struct values *values, struct fold *fold, int64_t offset, int64_t record_ms,
	const struct event *event, enum event_reject reject, struct err *err)
{
	int64_t late_ms;

	switch (fold_record(fold, offset, record_ms, event, reject, &values->tally.counters, &late_ms)) {
	case VERDICT_REJECTED:
		return 0;
	case VERDICT_DUPLICATE:
		values_day(values, fold, event)->duplicate++;
		return 0;
	case VERDICT_COUNTED:
		if (late_ms)
			values_day(values, fold, event)->late++;
		return tally_add(&values->tally, fold->rules->calendar, event, err);
	}
	assert(0 && "a verdict");
	return 0;
}

/* --- to Redis ---------------------------------------------------------------------------------- */

static int values_order_compare(const void *a, const void *b)
{
	const struct values_order *x = a, *y = b;

	return x->chunk != y->chunk ? (x->chunk < y->chunk ? -1 : 1)
				    : (x->entry > y->entry) - (x->entry < y->entry);
}

static void values_order_reserve(struct values *values, size_t n)
{
	if (n <= values->order_capacity)
		return;
	values->order_capacity = n * 2;
	values->order = xreallocarray(values->order, values->order_capacity, sizeof(*values->order));
}

/* Sorts order[first..n) by chunk and counts the chunks. */
static size_t values_sort(struct values *values, size_t first, size_t n)
{
	size_t n_chunks = 0;

	if (first == n)
		return 0;
	qsort(values->order + first, n - first, sizeof(*values->order), values_order_compare);
	for (size_t i = first; i < n; i++)
		n_chunks += i == first || values->order[i].chunk != values->order[i - 1].chunk;
	return n_chunks;
}

/* The end of the chunk that begins at `first`. */
static size_t values_chunk_end(const struct values *values, size_t first, size_t n)
{
	size_t end = first;

	while (end < n && values->order[end].chunk == values->order[first].chunk)
		end++;
	return end;
}

static void values_revenue_fields(struct redis_command *command, const struct bucket *bucket)
{
	const struct revenue *r = &bucket->revenue;
	const int64_t value[] = { r->gross_e4, r->refunds_e4, r->orders, r->refund_count, r->units };
	char field[8];

	snprintf(field, sizeof(field), "%02d%.3s", bucket->key.minute % VALUES_HOUR_MINUTES,
		currency_code(bucket->key.currency));
	for (size_t i = 0; i < ARRAY_SIZE(value); i++) {
		field[5] = "grocu"[i];
		if (value[i])
			redis_flush_field(command, field, 6, value[i]);
	}
}

static size_t values_revenue_count(const struct bucket *bucket)
{
	const struct revenue *r = &bucket->revenue;

	return (size_t)(!!r->gross_e4 + !!r->refunds_e4 + !!r->orders + !!r->refund_count + !!r->units);
}

static void values_revenue(struct values *values, struct redis_command *command, size_t first, size_t n)
{
	const struct table *buckets = &values->tally.buckets;

	for (size_t end; first < n; first = end) {
		size_t n_fields = 0;

		end = values_chunk_end(values, first, n);
		for (size_t i = first; i < end; i++)
			n_fields += values_revenue_count(table_at(buckets, values->order[i].entry));
		redis_flush_chunk(command, 'r', values->order[first].chunk, n_fields);
		for (size_t i = first; i < end; i++)
			values_revenue_fields(command, table_at(buckets, values->order[i].entry));
	}
}

static void values_product_fields(
	const struct values *values, struct redis_command *command, const struct product *product)
{
	struct text sku = dictionary_get(values->tally.texts, product->key.sku);
	char field[4 + EVENT_ID_MAX_BYTES];

	assert(sku.len <= EVENT_ID_MAX_BYTES);
	memcpy(field + 1, currency_code(product->key.currency), 3);
	memcpy(field + 4, sku.at, sku.len);
	field[0] = 'n';
	if (product->net_e4)
		redis_flush_field(command, field, 4 + sku.len, product->net_e4);
	field[0] = 'u';
	if (product->units)
		redis_flush_field(command, field, 4 + sku.len, product->units);
}

static void values_products(struct values *values, struct redis_command *command, size_t first, size_t n)
{
	const struct table *products = &values->tally.products;

	for (size_t end; first < n; first = end) {
		size_t n_fields = 0;

		end = values_chunk_end(values, first, n);
		for (size_t i = first; i < end; i++) {
			const struct product *product = table_at(products, values->order[i].entry);

			n_fields += (size_t)(!!product->net_e4 + !!product->units);
		}
		redis_flush_chunk(command, 'p', values->order[first].chunk, n_fields);
		for (size_t i = first; i < end; i++)
			values_product_fields(values, command, table_at(products, values->order[i].entry));
	}
}

static void values_counter(struct redis_command *command, const char *name, int64_t value)
{
	if (value)
		redis_flush_field(command, name, strlen(name), value);
}

static void values_counters(struct redis_command *command, const struct counters *counters)
{
	size_t n = (size_t)(!!counters->records + !!counters->counted + !!counters->duplicate +
			    !!counters->late);

	for (int reject = EVENT_OK + 1; reject < EVENT_N_REJECTS; reject++)
		n += counters->rejected[reject] != 0;
	redis_flush_chunk(command, 'c', 0, n);
	values_counter(command, "records", counters->records);
	values_counter(command, "counted", counters->counted);
	values_counter(command, "duplicate", counters->duplicate);
	values_counter(command, "late", counters->late);
	for (int reject = EVENT_OK + 1; reject < EVENT_N_REJECTS; reject++) {
		char name[64];

		snprintf(name, sizeof(name), "rejected:%s", event_reject_code(reject));
		values_counter(command, name, counters->rejected[reject]);
	}
}

static void values_days(struct redis_command *command, const struct table *days)
{
	for (size_t i = 0; i < days->n; i++) {
		const struct values_day *day = table_at(days, i);

		redis_flush_chunk(command, 'd', day->day, (size_t)(!!day->duplicate + !!day->late));
		values_counter(command, "duplicate", day->duplicate);
		values_counter(command, "late", day->late);
	}
}

void values_flush(struct values *values, struct redis_command *command, const char *base,
	const struct redis_flush *flush)
{
	const struct table *buckets = &values->tally.buckets, *products = &values->tally.products;
	size_t n_chunks, n = buckets->n + products->n;

	values_order_reserve(values, n);
	for (size_t i = 0; i < buckets->n; i++) {
		const struct bucket *bucket = table_at(buckets, i);

		values->order[i] = (struct values_order){ bucket->key.minute / VALUES_HOUR_MINUTES, i };
	}
	for (size_t i = 0; i < products->n; i++) {
		const struct product *product = table_at(products, i);

		values->order[buckets->n + i] = (struct values_order){ product->key.day, i };
	}
	n_chunks =
		values_sort(values, 0, buckets->n) + values_sort(values, buckets->n, n) + 1 + values->days.n;
	redis_flush_start(command, base, flush, n_chunks);
	values_counters(command, &values->tally.counters);
	values_revenue(values, command, 0, buckets->n);
	values_products(values, command, buckets->n, n);
	values_days(command, &values->days);
}
