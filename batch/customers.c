/* Failure modes: the spill directory is full or gone: ERR_IO, the run fails and nothing has changed. */
#include "common/base.h"
#include "batch/customers.h"

#include "common/mem.h"

enum {
	CUSTOMERS_BUFFER_BYTES = 64 << 10,
	CUSTOMERS_BYTES_PER_SUM = 192, /* its entry, the text, and what tables keep free, about */
};

struct customers_key {
	uint32_t customer;
	int32_t currency;
};

struct customers_entry {
	struct customers_key key;
	int32_t first_minute, last_minute;
	struct revenue revenue;
};

/* In the file: this, and the customer's bytes behind it. */
struct customers_spilled {
	struct revenue revenue;
	int32_t currency, first_minute, last_minute;
	uint32_t len;
};

void customers_init(struct customers *customers, size_t max_bytes, const char *spill_dir)
{
	*customers = (struct customers){ .max_bytes = max_bytes, .spill = SPILL_NONE(spill_dir) };
	customers->texts = dictionary_new();
	table_init(&customers->sums, sizeof(struct customers_entry), sizeof(struct customers_key));
}

void customers_release(struct customers *customers)
{
	if (!customers->texts)
		return;
	table_release(&customers->sums);
	dictionary_free(customers->texts);
	spill_release(&customers->spill);
	free(customers->buffer);
	*customers = (struct customers){ 0 };
}

/* --- adding up --- */

static int customers_write(struct customers *customers, struct err *err)
{
	size_t len = customers->len;

	customers->len = 0;
	return spill_write(&customers->spill, customers->buffer, len, err);
}

static int customers_spill_one(
	struct customers *customers, const struct customers_entry *entry, struct err *err)
{
	struct text customer = dictionary_get(customers->texts, entry->key.customer);
	struct customers_spilled spilled = { entry->revenue, entry->key.currency, entry->first_minute,
		entry->last_minute, (uint32_t)customer.len };

	if (customers->len + sizeof(spilled) + customer.len > CUSTOMERS_BUFFER_BYTES &&
		customers_write(customers, err))
		return -1;
	memcpy(customers->buffer + customers->len, &spilled, sizeof(spilled));
	memcpy(customers->buffer + customers->len + sizeof(spilled), customer.at, customer.len);
	customers->len += sizeof(spilled) + customer.len;
	return 0;
}

static int customers_spill(struct customers *customers, struct err *err)
{
	if (!customers->buffer)
		customers->buffer = xmalloc(CUSTOMERS_BUFFER_BYTES);
	for (size_t i = 0; i < customers->sums.n; i++)
		if (customers_spill_one(customers, table_at(&customers->sums, i), err))
			return -1;
	if (customers_write(customers, err))
		return -1;
	customers->n_spilled += (int64_t)customers->sums.n;
	table_clear(&customers->sums);
	dictionary_free(customers->texts);
	customers->texts = dictionary_new();
	return 0;
}

int customers_add(struct customers *customers, const struct event *event, struct err *err)
{
	int32_t minute = (int32_t)(event->time_ms / MINUTE_MS);
	struct revenue more = { 0 };
	struct customers_key key = { 0, event->currency };
	struct customers_entry *entry;
	bool new;

	if (!event->customer_id.at)
		return 0;
	if (customers->sums.n * CUSTOMERS_BYTES_PER_SUM > customers->max_bytes &&
		customers_spill(customers, err))
		return -1;
	customers->n_events++;
	key.customer = dictionary_put(customers->texts, event->customer_id);
	entry = table_put(&customers->sums, &key, &new);
	if (new) {
		entry->first_minute = INT32_MAX;
		entry->last_minute = INT32_MIN;
	}
	if (event->type == EVENT_PLACED) {
		more = (struct revenue){ .gross_e4 = event->total_e4, .orders = 1 };
		entry->first_minute = minute < entry->first_minute ? minute : entry->first_minute;
		entry->last_minute = minute > entry->last_minute ? minute : entry->last_minute;
	} else {
		more = (struct revenue){ .refunds_e4 = event->total_e4, .refund_count = 1 };
	}
	if (revenue_add(&entry->revenue, &more))
		return err_set(err, ERR_DATA, "a customer's sum exceeds 64 bits at event '%.*s'",
			(int)event->event_id.len, event->event_id.at);
	return 0;
}

/* --- visiting --- */

int64_t customers_count(const struct customers *customers)
{
	return customers->n_spilled + (int64_t)customers->sums.n;
}

/* The sums in buffer[0..len); *ret_used: how much of it they take, for the last one may be there in part. */
static int customers_visit_buffer(struct customers *customers, size_t len, size_t *ret_used,
	customer_sum_fn *visit, void *arg, struct err *err)
{
	size_t used = 0;

	for (;;) {
		struct customers_spilled spilled;
		const char *customer = (const char *)customers->buffer + used + sizeof(spilled);

		if (len - used < sizeof(spilled))
			break;
		memcpy(&spilled, customers->buffer + used, sizeof(spilled));
		if (len - used - sizeof(spilled) < spilled.len)
			break;
		used += sizeof(spilled) + spilled.len;
		if (visit(arg,
			    &(struct customer_sum){ { customer, spilled.len }, spilled.currency,
				    spilled.first_minute, spilled.last_minute, spilled.revenue },
			    err))
			return -1;
	}
	*ret_used = used;
	return 0;
}

static int customers_visit_file(
	struct customers *customers, customer_sum_fn *visit, void *arg, struct err *err)
{
	int64_t at = 0;

	while (at < customers->spill.bytes) {
		int64_t left = customers->spill.bytes - at;
		size_t len = left < CUSTOMERS_BUFFER_BYTES ? (size_t)left : CUSTOMERS_BUFFER_BYTES, used;

		if (spill_read(&customers->spill, at, customers->buffer, len, err) ||
			customers_visit_buffer(customers, len, &used, visit, arg, err))
			return -1;
		assert(used > 0); /* the file is our own */
		at += (int64_t)used;
	}
	return 0;
}

int customers_each(struct customers *customers, customer_sum_fn *visit, void *arg, struct err *err)
{
	if (customers_visit_file(customers, visit, arg, err))
		return -1;
	for (size_t i = 0; i < customers->sums.n; i++) {
		const struct customers_entry *entry = table_at(&customers->sums, i);

		if (visit(arg,
			    &(struct customer_sum){ dictionary_get(customers->texts, entry->key.customer),
				    entry->key.currency, entry->first_minute, entry->last_minute,
				    entry->revenue },
			    err))
			return -1;
	}
	return 0;
}
