/* Layout: length of the rest (4 bytes), id (16), flags (1), then varints: partition, offset, record_ms,
 * late_ms if FACT_LATE; body: minute, currency and type, total, units, the customer's length (0: none) and
 * bytes, number of lines, and per line sku, quantity, unit price. */
#include "common/base.h"
#include "batch/facts.h"

#include "batch/varint.h"

enum { FACT_HEAD_BYTES = 4 + 16 + 1, FACT_REFUND = 1 };

size_t fact_size_max(const struct event *event)
{
	return FACT_HEAD_BYTES + 10 * VARINT_MAX + event->customer_id.len +
	       (size_t)event->n_lines * 3 * VARINT_MAX;
}

size_t fact_encode(
	unsigned char *start, const struct fact *fact, const struct event *event, const uint32_t *skus)
{
	unsigned char *at = start + 4;
	uint32_t len;

	memcpy(at, &fact->id, 16);
	at += 16;
	*at++ = (unsigned char)fact->flags;
	at = varint_put(at, (uint64_t)fact->partition);
	at = varint_put(at, (uint64_t)fact->offset);
	at = varint_put(at, varint_zigzag(fact->record_ms)); /* -1: none */
	if (fact->flags & FACT_LATE)
		at = varint_put(at, (uint64_t)fact->late_ms);
	at = varint_put(at, (uint64_t)(event->time_ms / MINUTE_MS)); /* event times are after 1980 */
	at = varint_put(
		at, (uint64_t)event->currency << 1 | (event->type == EVENT_REFUNDED ? FACT_REFUND : 0));
	at = varint_put(at, (uint64_t)event->total_e4);
	at = varint_put(at, (uint64_t)event->units);
	at = varint_put(at, event->customer_id.len);
	if (event->customer_id.len)
		memcpy(at, event->customer_id.at, event->customer_id.len);
	at += event->customer_id.len;
	at = varint_put(at, event->n_lines);
	for (uint32_t i = 0; i < event->n_lines; i++) {
		at = varint_put(at, skus[i]);
		at = varint_put(at, (uint64_t)event->lines[i].quantity);
		at = varint_put(at, (uint64_t)event->lines[i].unit_price_e4);
	}
	len = (uint32_t)(at - start - 4);
	memcpy(start, &len, 4);
	return (size_t)(at - start);
}

const unsigned char *fact_decode(
	const unsigned char *at, struct fact *ret_fact, const unsigned char **ret_body)
{
	const unsigned char *next;
	uint64_t partition, offset, record_ms, late_ms = 0;
	uint32_t len;

	memcpy(&len, at, 4);
	at += 4;
	next = at + len;
	memcpy(&ret_fact->id, at, 16);
	at += 16;
	ret_fact->flags = *at++;
	at = varint_get(at, &partition);
	at = varint_get(at, &offset);
	at = varint_get(at, &record_ms);
	if (ret_fact->flags & FACT_LATE)
		at = varint_get(at, &late_ms);
	*ret_body = at;
	ret_fact->partition = (int32_t)partition;
	ret_fact->offset = (int64_t)offset;
	ret_fact->record_ms = varint_unzigzag(record_ms);
	ret_fact->late_ms = (int64_t)late_ms;
	return next;
}

void fact_event(const unsigned char *at, struct event *event, uint32_t *skus)
{
	uint64_t minute, kind, total_e4, units, customer, n_lines;

	at = varint_get(at, &minute);
	at = varint_get(at, &kind);
	at = varint_get(at, &total_e4);
	at = varint_get(at, &units);
	at = varint_get(at, &customer);
	event->customer_id = (struct text){ customer ? (const char *)at : NULL, customer };
	at += customer;
	at = varint_get(at, &n_lines);
	assert(n_lines <= EVENT_LINES_MAX);
	event->time_ms = (int64_t)minute * MINUTE_MS;
	event->currency = (int)(kind >> 1);
	event->type = kind & FACT_REFUND ? EVENT_REFUNDED : EVENT_PLACED;
	event->total_e4 = (int64_t)total_e4;
	event->units = (int64_t)units;
	event->n_lines = (uint32_t)n_lines;
	for (uint32_t i = 0; i < event->n_lines; i++) {
		uint64_t sku, quantity, price_e4;

		at = varint_get(at, &sku);
		at = varint_get(at, &quantity);
		at = varint_get(at, &price_e4);
		skus[i] = (uint32_t)sku;
		event->lines[i].quantity = (int32_t)quantity;
		event->lines[i].unit_price_e4 = (int64_t)price_e4;
	}
}
