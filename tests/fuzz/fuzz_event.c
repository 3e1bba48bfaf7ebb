/* The bytes of a record. What must hold:
 * - parsing again gives the same; the reason is json exactly where the scanner finds no JSON
 * - an accepted event keeps its limits and adds up; written anew, it is read as the same event
 * - a refused one has a fault inside the value, and a sentence of one line in UTF-8 */
#include "common/base.h"
#include "batch/batch.h"
#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/kernel/money.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

struct written {
	char *at; /* owned */
	size_t len;
	FILE *file;
};

static void write_text(FILE *file, struct text text)
{
	fputc('"', file);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < ' ')
			fprintf(file, "\\u%04x", c);
		else
			fprintf(file, c == '"' || c == '\\' ? "\\%c" : "%c", c);
	}
	fputc('"', file);
}

static void write_field(FILE *file, const char *name, struct text text)
{
	fprintf(file, ",\"%s\":", name);
	if (text.at)
		write_text(file, text);
	else
		fprintf(file, "null");
}

static void write_event(FILE *file, const struct event *event)
{
	char time[DATETIME_TEXT_MAX], price[MONEY_TEXT_MAX];

	datetime_format(event->time_ms, time);
	fprintf(file, "{\"type\":\"%s\",\"event_time\":\"%s\",\"currency\":\"%s\"",
		event->type == EVENT_PLACED ? "order_placed" : "order_refunded", time,
		currency_code(event->currency));
	write_field(file, "event_id", event->event_id);
	write_field(file, "order_id", event->order_id);
	write_field(file, "customer_id", event->customer_id);
	fprintf(file, ",\"lines\":[");
	for (uint32_t i = 0; i < event->n_lines; i++) {
		const struct event_line *line = &event->lines[i];

		money_format(line->unit_price_e4, 0, price);
		fprintf(file, "%s{\"quantity\":%" PRId32 ",\"unit_price\":\"%s\"", i ? "," : "",
			line->quantity, price);
		write_field(file, "sku", line->sku);
		write_field(file, "name", line->name);
		fputc('}', file);
	}
	fprintf(file, "]}");
}

static void check_limits(const struct event *event)
{
	int64_t total_e4 = 0, units = 0;

	assert(event->event_id.len >= 1 && event->event_id.len <= EVENT_ID_MAX_BYTES);
	assert(event->order_id.len >= 1 && event->order_id.len <= EVENT_ID_MAX_BYTES);
	assert(!event->customer_id.at || event->customer_id.len >= 1);
	assert(event->customer_id.len <= EVENT_ID_MAX_BYTES);
	assert(event->time_ms >= DATETIME_MIN_MS && event->time_ms < DATETIME_END_MS);
	assert(event->currency >= 0 && event->currency < currency_count());
	assert(event->n_lines >= 1 && event->n_lines <= EVENT_LINES_MAX);
	for (uint32_t i = 0; i < event->n_lines; i++) {
		const struct event_line *line = &event->lines[i];

		assert(line->sku.len >= 1 && line->sku.len <= EVENT_ID_MAX_BYTES);
		assert(line->name.len <= EVENT_NAME_MAX_BYTES);
		assert(line->quantity >= 1 && line->quantity <= EVENT_QUANTITY_MAX);
		total_e4 += line->quantity * line->unit_price_e4;
		units += line->quantity;
	}
	assert(total_e4 == event->total_e4 && total_e4 <= EVENT_TOTAL_MAX_E4 && units == event->units);
}

static void check_same(const struct event *a, const struct event *b)
{
	assert(fuzz_same(a->event_id, b->event_id) && fuzz_same(a->order_id, b->order_id));
	assert(fuzz_same(a->customer_id, b->customer_id) && a->type == b->type && a->time_ms == b->time_ms);
	assert(a->currency == b->currency && a->total_e4 == b->total_e4 && a->units == b->units);
	assert(a->n_lines == b->n_lines);
	for (uint32_t i = 0; i < a->n_lines; i++) {
		assert(fuzz_same(a->lines[i].sku, b->lines[i].sku));
		assert(fuzz_same(a->lines[i].name, b->lines[i].name));
		assert(a->lines[i].quantity == b->lines[i].quantity);
		assert(a->lines[i].unit_price_e4 == b->lines[i].unit_price_e4);
	}
}

static void check_good(const struct event *event)
{
	struct event_parser *other = event_parser_new();
	const struct event *again = NULL;
	struct written written = { 0 };
	enum event_reject reject;
	char *exact;

	check_limits(event);
	written.file = open_memstream(&written.at, &written.len);
	assert(written.file);
	write_event(written.file, event);
	fclose(written.file);
	exact = fuzz_copy(written.at, written.len);
	reject = event_parse(other, exact, written.len, &again);
	assert(reject == EVENT_OK);
	check_same(event, again);
	free(exact);
	free(written.at);
	event_parser_free(other);
}

static void check_bad(
	const struct event_parser *parser, enum event_reject reject, const char *value, size_t size)
{
	char text[VALIDATE_TEXT_MAX], quoted[VALIDATE_TEXT_MAX + 2];
	const struct event_fault *fault = event_fault(parser);
	struct json json;
	int len;

	if (size <= EVENT_RECORD_MAX_BYTES) {
		assert(fault->at <= size);
		assert(!fault->value.at ||
			(fault->value.at >= value && fault->value.at + fault->value.len <= value + size));
	}
	validate_explain(parser, reject, value, size, text);
	assert(*text && !strpbrk(text, "\n\r\x1b"));
	for (char *c = text; *c; c++) /* what a JSON string would need escapes for, which it may hold */
		*c = *c == '"' || *c == '\\' ? '.' : *c;
	len = snprintf(quoted, sizeof(quoted), "\"%s\"", text);
	json_init(&json, quoted, (size_t)len);
	assert(json_drain(&json) == JSON_END);
}

static void check_scanner(enum event_reject reject, const char *value, size_t size)
{
	struct json json;
	enum json_token token;

	json_init(&json, value, size);
	token = json_drain(&json);
	assert(json_drain(&json) == token);
	if (size > EVENT_RECORD_MAX_BYTES || token == JSON_TOO_DEEP)
		assert(reject == EVENT_REJECT_SIZE);
	else
		assert((token == JSON_BROKEN) == (reject == EVENT_REJECT_JSON));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_parser *parser;
	char *value = fuzz_copy(data, size);
	const struct event *event = NULL;
	enum event_reject reject;

	if (!parser)
		parser = event_parser_new();
	reject = event_parse(parser, value, size, &event);
	assert((reject == EVENT_OK) == (event != NULL));
	check_scanner(reject, value, size);
	if (event)
		check_good(event);
	else
		check_bad(parser, reject, value, size);
	assert(event_parse(parser, value, size, &event) == reject);
	free(value);
	return 0;
}
