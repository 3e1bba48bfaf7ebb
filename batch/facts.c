/* Layout: length of the rest (4 bytes), id (16), flags (1), then varints: partition, offset, record_ms,
 * late_ms if FACT_LATE; body: minute, currency and type, total, units, the customer's length (0: none) and
 * bytes, number of lines, and per line sku, quantity, unit price. */
#include "common/base.h"
#include "batch/facts.h"

enum { FACT_VARINT_MAX = 10, FACT_HEAD_BYTES = 4 + 16 + 1, FACT_REFUND = 1 };

static unsigned char *fact_put(unsigned char *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (unsigned char)(value | 0x80);
		value >>= 7;
	}
	*at++ = (unsigned char)value;
	return at;
}

static const unsigned char *fact_get(const unsigned char *at, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0;; shift += 7) {
		value |= (uint64_t)(*at & 0x7f) << shift;
		if (!(*at++ & 0x80))
			break;
	}
	*ret_value = value;
	return at;
}

/* Record timestamps may be negative (-1: none). */
static uint64_t fact_zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t fact_unzigzag(uint64_t value)
{
	return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

size_t fact_size_max(const struct event *event)
{
	return FACT_HEAD_BYTES + 10 * FACT_VARINT_MAX + event->customer_id.len +
	       (size_t)event->n_lines * 3 * FACT_VARINT_MAX;
}

size_t fact_encode(
	unsigned char *start, const struct fact *fact, const struct event *event, const uint32_t *skus)
{
	unsigned char *at = start + 4;
	uint32_t len;

	memcpy(at, &fact->id, 16);
	at += 16;
	*at++ = (unsigned char)fact->flags;
	at = fact_put(at, (uint64_t)fact->partition);
	at = fact_put(at, (uint64_t)fact->offset);
	at = fact_put(at, fact_zigzag(fact->record_ms));
	if (fact->flags & FACT_LATE)
		at = fact_put(at, (uint64_t)fact->late_ms);
	at = fact_put(at, (uint64_t)(event->time_ms / MINUTE_MS)); /* event times are after 1980 */
	at = fact_put(at, (uint64_t)event->currency << 1 | (event->type == EVENT_REFUNDED ? FACT_REFUND : 0));
	at = fact_put(at, (uint64_t)event->total_e4);
	at = fact_put(at, (uint64_t)event->units);
	at = fact_put(at, event->customer_id.len);
	if (event->customer_id.len)
		memcpy(at, event->customer_id.at, event->customer_id.len);
	at += event->customer_id.len;
	at = fact_put(at, event->n_lines);
	for (uint32_t i = 0; i < event->n_lines; i++) {
		at = fact_put(at, skus[i]);
		at = fact_put(at, (uint64_t)event->lines[i].quantity);
		at = fact_put(at, (uint64_t)event->lines[i].unit_price_e4);
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
	at = fact_get(at, &partition);
	at = fact_get(at, &offset);
	at = fact_get(at, &record_ms);
	if (ret_fact->flags & FACT_LATE)
		at = fact_get(at, &late_ms);
	*ret_body = at;
	ret_fact->partition = (int32_t)partition;
	ret_fact->offset = (int64_t)offset;
	ret_fact->record_ms = fact_unzigzag(record_ms);
	ret_fact->late_ms = (int64_t)late_ms;
	return next;
}

void fact_event(const unsigned char *at, struct event *event, uint32_t *skus)
{
	uint64_t minute, kind, total_e4, units, customer, n_lines;

	at = fact_get(at, &minute);
	at = fact_get(at, &kind);
	at = fact_get(at, &total_e4);
	at = fact_get(at, &units);
	at = fact_get(at, &customer);
	event->customer_id = (struct text){ customer ? (const char *)at : NULL, customer };
	at += customer;
	at = fact_get(at, &n_lines);
	assert(n_lines <= EVENT_LINES_MAX);
	event->time_ms = (int64_t)minute * MINUTE_MS;
	event->currency = (int)(kind >> 1);
	event->type = kind & FACT_REFUND ? EVENT_REFUNDED : EVENT_PLACED;
	event->total_e4 = (int64_t)total_e4;
	event->units = (int64_t)units;
	event->n_lines = (uint32_t)n_lines;
	for (uint32_t i = 0; i < event->n_lines; i++) {
		uint64_t sku, quantity, price_e4;

		at = fact_get(at, &sku);
		at = fact_get(at, &quantity);
		at = fact_get(at, &price_e4);
		skus[i] = (uint32_t)sku;
		event->lines[i].quantity = (int32_t)quantity;
		event->lines[i].unit_price_e4 = (int64_t)price_e4;
	}
}
