#include "common/base.h"
#include "speed/values.h"

#include "common/failpoint.h"
#include "common/kernel/currency.h"
#include "common/mem.h"

enum { VALUES_HOUR_MINUTES = 60 };

void values_init(struct values *values)
{
	*values = (struct values){ 0 };
	tally_init(&values->tally);
	table_init(&values->days, sizeof(struct values_day), sizeof(int32_t));
	table_init(&values->names, sizeof(struct values_name), sizeof(uint32_t));
}

void values_release(struct values *values)
{
	tally_release(&values->tally);
	table_release(&values->days);
	table_release(&values->names);
	free(values->order);
	free(values->text);
}

void values_clear(struct values *values)
{
	tally_clear(&values->tally);
	table_clear(&values->days);
	table_clear(&values->names);
}

static struct values_day *values_day(
	struct values *values, const struct fold *fold, const struct event *event)
{
	int32_t day = calendar_day(fold->rules->calendar, event->time_ms);
	bool is_new;

	return table_put(&values->days, &day, &is_new);
}

/* Bounded by both clocks, so that a wrong one leaves nothing out that can still be asked for. */
static int64_t values_customers_from_ms(const struct fold *fold, int64_t wall_ms)
{
	int64_t latest_ms = fold->state.latest_record_ms;

	if (!fold->rules->customers)
		return TALLY_NO_CUSTOMERS;
	return (latest_ms != DATETIME_NONE && latest_ms < wall_ms ? latest_ms : wall_ms) - TALLY_CUSTOMERS_MS;
}

static void values_names(struct values *values, const struct event *event)
{
	for (uint32_t i = 0; i < event->n_lines; i++) {
		const struct event_line *line = &event->lines[i];
		struct values_name *name;
		uint32_t sku;
		bool is_new;

		if (!line->name.at)
			continue;
		sku = dictionary_put(values->tally.texts, line->sku);
		name = table_put(&values->names, &sku, &is_new);
		if (!is_new && name->time_ms > event->time_ms)
			continue;
		name->time_ms = event->time_ms;
		name->text = dictionary_put(values->tally.texts, line->name);
	}
}

int values_add(struct values *values, struct fold *fold, int64_t offset, int64_t record_ms, int64_t wall_ms,
	const struct event *event, enum event_reject reject, int64_t *ret_late_ms, struct err *err)
{
	const struct calendar *calendar = fold->rules->calendar;
	enum verdict verdict =
		fold_record(fold, offset, record_ms, event, reject, &values->tally.counters, ret_late_ms);

	if (PLANTED(PLANT_DOUBLE) && verdict == VERDICT_DUPLICATE) {
		values->tally.counters.duplicate--;
		values->tally.counters.counted++;
		verdict = VERDICT_COUNTED;
	}
	if (values->has_names && reject == EVENT_OK)
		values_names(values, event);
	if (verdict == VERDICT_DUPLICATE)
		values_day(values, fold, event)->duplicate++;
	if (*ret_late_ms && tally_add_late(&values->tally, calendar, event, *ret_late_ms, err))
		return -1;
	if (verdict != VERDICT_COUNTED)
		return 0;
	values->tally.customers_from_ms = values_customers_from_ms(fold, wall_ms);
	return tally_add(&values->tally, calendar, event, err);
}

/* --- to Redis ---------------------------------------------------------------------------------- */

static int values_order_compare(const void *a, const void *b)
{
	const struct values_order *x = a, *y = b;

	if (x->chunk != y->chunk)
		return x->chunk < y->chunk ? -1 : 1;
	if (x->customer != y->customer)
		return x->customer < y->customer ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
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

/* The end of what the customer at `first` did in its chunk. */
static size_t values_customer_end(const struct values *values, size_t first, size_t end)
{
	size_t next = first;

	while (next < end && values->order[next].customer == values->order[first].customer)
		next++;
	return next;
}

/* ;MMCURorders,gross_e4,refund_count,refunds_e4 of each minute and currency of one customer */
static void values_customer(struct values *values, struct redis_command *command, size_t first, size_t end)
{
	enum { ENTRY_MAX = 96 }; /* four numbers of 20, and what stands between them */
	struct text customer = dictionary_get(values->tally.texts, values->order[first].customer);
	char field[1 + EVENT_ID_MAX_BYTES];
	size_t len = 0;

	assert(customer.len <= EVENT_ID_MAX_BYTES);
	field[0] = '@';
	memcpy(field + 1, customer.at, customer.len);
	if (values->text_capacity < (end - first) * ENTRY_MAX) {
		values->text_capacity = (end - first) * ENTRY_MAX * 2;
		values->text = xreallocarray(values->text, values->text_capacity, 1);
	}
	for (size_t i = first; i < end; i++) {
		const struct customer_minute *minute =
			table_at(&values->tally.customers, values->order[i].entry);
		const struct revenue *r = &minute->revenue;

		len += (size_t)snprintf(values->text + len, ENTRY_MAX,
			";%02d%.3s%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64,
			minute->key.minute % VALUES_HOUR_MINUTES, currency_code(minute->key.currency),
			r->orders, r->gross_e4, r->refund_count, r->refunds_e4);
	}
	redis_flush_text(command, field, 1 + customer.len, values->text, len);
}

static void values_customers(struct values *values, struct redis_command *command, size_t first, size_t n)
{
	for (size_t end; first < n; first = end) {
		size_t n_fields = 0;

		end = values_chunk_end(values, first, n);
		for (size_t i = first; i < end; i = values_customer_end(values, i, end))
			n_fields++;
		redis_flush_chunk(command, 'o', values->order[first].chunk, n_fields);
		for (size_t i = first, next; i < end; i = next) {
			next = values_customer_end(values, i, end);
			values_customer(values, command, i, next);
		}
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
			    !!counters->late + !!counters->excluded);

	for (int reject = EVENT_OK + 1; reject < EVENT_N_REJECTS; reject++)
		n += counters->rejected[reject] != 0;
	redis_flush_chunk(command, 'c', 0, n);
	values_counter(command, "records", counters->records);
	values_counter(command, "counted", counters->counted);
	values_counter(command, "duplicate", counters->duplicate);
	values_counter(command, "late", counters->late);
	values_counter(command, "excluded", counters->excluded);
	for (int reject = EVENT_OK + 1; reject < EVENT_N_REJECTS; reject++) {
		char name[64];

		snprintf(name, sizeof(name), "rejected:%s", event_reject_code(reject));
		values_counter(command, name, counters->rejected[reject]);
	}
}

static void values_late_fields(struct redis_command *command, const struct late_day *late)
{
	const int64_t value[] = { late->events, late->net_e4, late->worst_ms };
	char field[5];

	snprintf(field + 1, 4, "%.3s", currency_code(late->key.currency));
	for (size_t i = 0; i < ARRAY_SIZE(value); i++) {
		field[0] = "el^"[i];
		redis_flush_field(command, field, 4, value[i]);
	}
}

/* Duplicates are in values->days, late events in the tally; a day is one chunk. */
static void values_days(struct values *values, struct redis_command *command, size_t first, size_t n)
{
	const struct table *late = &values->tally.late;

	for (size_t end; first < n; first = end) {
		int32_t day = (int32_t)values->order[first].chunk;
		const struct values_day *found = table_find(&values->days, &day);
		size_t n_late = 0;

		end = values_chunk_end(values, first, n);
		for (size_t i = first; i < end; i++)
			n_late += values->order[i].entry < late->n;
		redis_flush_chunk(command, 'd', day, 3 * n_late + (found ? 1 : 0));
		if (found)
			values_counter(command, "duplicate", found->duplicate);
		for (size_t i = first; i < end; i++)
			if (values->order[i].entry < late->n)
				values_late_fields(command, table_at(late, values->order[i].entry));
	}
}

/* --- order ------------------------------------------------------------------------------------- */

/* Appends what stands in a table to values->order: each entry with the number of the chunk it belongs to. */
typedef int64_t values_chunk_fn(const void *entry);

static int64_t values_chunk_of_bucket(const void *entry)
{
	return ((const struct bucket *)entry)->key.minute / VALUES_HOUR_MINUTES;
}

static int64_t values_chunk_of_product(const void *entry)
{
	return ((const struct product *)entry)->key.day;
}

static int64_t values_chunk_of_customer(const void *entry)
{
	return ((const struct customer_minute *)entry)->key.minute / VALUES_HOUR_MINUTES;
}

static int64_t values_chunk_of_late(const void *entry)
{
	return ((const struct late_day *)entry)->key.day;
}

static int64_t values_chunk_of_day(const void *entry)
{
	return ((const struct values_day *)entry)->day;
}

static size_t values_append(
	struct values *values, size_t n, const struct table *table, size_t entry, values_chunk_fn *chunk_of)
{
	for (size_t i = 0; i < table->n; i++)
		values->order[n++] = (struct values_order){ chunk_of(table_at(table, i)), 0, entry + i };
	return n;
}

static size_t values_append_customers(struct values *values, size_t n)
{
	const struct table *customers = &values->tally.customers;
	size_t end = values_append(values, n, customers, 0, values_chunk_of_customer);

	for (size_t i = 0; i < customers->n; i++)
		values->order[n + i].customer =
			((const struct customer_minute *)table_at(customers, i))->key.customer;
	return end;
}

void values_flush(struct values *values, struct redis_command *command, const char *base,
	const struct redis_flush *flush)
{
	const struct tally *tally = &values->tally;
	size_t buckets, products, customers, days, n_chunks = 1;

	values_order_reserve(values,
		tally->buckets.n + tally->products.n + tally->customers.n + tally->late.n + values->days.n);
	buckets = values_append(values, 0, &tally->buckets, 0, values_chunk_of_bucket);
	products = values_append(values, buckets, &tally->products, 0, values_chunk_of_product);
	customers = values_append_customers(values, products);
	days = values_append(values, customers, &tally->late, 0, values_chunk_of_late);
	days = values_append(values, days, &values->days, tally->late.n, values_chunk_of_day);
	n_chunks += values_sort(values, 0, buckets) + values_sort(values, buckets, products) +
		    values_sort(values, products, customers) + values_sort(values, customers, days);
	redis_flush_start(command, base, flush, n_chunks);
	values_counters(command, &tally->counters);
	values_revenue(values, command, 0, buckets);
	values_products(values, command, buckets, products);
	values_customers(values, command, products, customers);
	values_days(values, command, customers, days);
}
