#include "common/base.h"
#include "speed/kappa_rows.h"

#include "common/kernel/currency.h"
#include "common/mem.h"

enum { KAPPA_HOUR_MINUTES = 60, KAPPA_NUMBER_MAX = 24 };

/* --- one array --------------------------------------------------------------------------------- */

void kappa_array_clear(struct kappa_array *array)
{
	array->len = 0;
}

/* Room for `more` bytes, a separator and what ends the array; begins the next element. */
static char *kappa_array_at(struct kappa_array *array, size_t more)
{
	size_t need = array->len + more + 4;

	if (need > array->capacity) {
		array->capacity = need * 2;
		array->text = xrealloc(array->text, array->capacity);
	}
	array->text[array->len] = array->len ? ',' : '{';
	array->len++;
	return array->text + array->len;
}

void kappa_array_number(struct kappa_array *array, int64_t number)
{
	char *at = kappa_array_at(array, KAPPA_NUMBER_MAX), digits[KAPPA_NUMBER_MAX];
	uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	size_t n = 0;

	do
		digits[n++] = (char)('0' + left % 10);
	while (left /= 10);
	if (number < 0)
		digits[n++] = '-';
	array->len += n;
	while (n)
		*at++ = digits[--n];
}

void kappa_array_time(struct kappa_array *array, int64_t ms)
{
	if (ms != DATETIME_NONE) {
		kappa_array_number(array, ms);
		return;
	}
	memcpy(kappa_array_at(array, 4), "NULL", 4);
	array->len += 4;
}

void kappa_array_text(struct kappa_array *array, struct text text)
{
	char *start = kappa_array_at(array, 2 * text.len + 2), *at = start;

	*at++ = '"';
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			*at++ = '\\';
		*at++ = text.at[i];
	}
	*at++ = '"';
	array->len += (size_t)(at - start);
}

static void kappa_array_currency(struct kappa_array *array, int currency)
{
	memcpy(kappa_array_at(array, 3), currency_code(currency), 3);
	array->len += 3;
}

const char *kappa_array_done(struct kappa_array *array)
{
	if (!array->len)
		kappa_array_at(array, 0);
	array->text[array->len] = '}';
	array->text[array->len + 1] = '\0';
	return array->text;
}

/* --- rows -------------------------------------------------------------------------------------- */

static void kappa_counter(struct kappa_array *columns, int partition, const char *name, int64_t n)
{
	if (!n)
		return;
	kappa_array_number(&columns[0], partition);
	kappa_array_text(&columns[1], (struct text){ name, strlen(name) });
	kappa_array_number(&columns[2], n);
}

static void kappa_counters(struct kappa_array *columns, int partition, const struct counters *counters)
{
	char name[64];

	kappa_counter(columns, partition, "records", counters->records);
	kappa_counter(columns, partition, "counted", counters->counted);
	kappa_counter(columns, partition, "duplicate", counters->duplicate);
	kappa_counter(columns, partition, "late", counters->late);
	kappa_counter(columns, partition, "excluded", counters->excluded);
	for (int reject = EVENT_OK + 1; reject < EVENT_N_REJECTS; reject++) {
		snprintf(name, sizeof(name), "rejected:%s", event_reject_code(reject));
		kappa_counter(columns, partition, name, counters->rejected[reject]);
	}
}

static void kappa_buckets(struct kappa_array *columns, int partition, const struct tally *tally,
	const struct calendar *calendar)
{
	for (size_t i = 0; i < tally->buckets.n; i++) {
		const struct bucket *bucket = table_at(&tally->buckets, i);

		kappa_array_number(&columns[0], partition);
		kappa_array_number(&columns[1], bucket->key.minute);
		kappa_array_number(
			&columns[2], calendar_day(calendar, bucket->key.minute * (int64_t)MINUTE_MS));
		kappa_array_currency(&columns[3], bucket->key.currency);
		kappa_array_number(&columns[4], bucket->revenue.gross_e4);
		kappa_array_number(&columns[5], bucket->revenue.refunds_e4);
		kappa_array_number(&columns[6], bucket->revenue.orders);
		kappa_array_number(&columns[7], bucket->revenue.refund_count);
		kappa_array_number(&columns[8], bucket->revenue.units);
	}
}

static void kappa_products(struct kappa_array *columns, int partition, const struct tally *tally)
{
	for (size_t i = 0; i < tally->products.n; i++) {
		const struct product *product = table_at(&tally->products, i);

		kappa_array_number(&columns[0], partition);
		kappa_array_number(&columns[1], product->key.day);
		kappa_array_currency(&columns[2], product->key.currency);
		kappa_array_text(&columns[3], dictionary_get(tally->texts, product->key.sku));
		kappa_array_number(&columns[4], product->net_e4);
		kappa_array_number(&columns[5], product->units);
	}
}

static void kappa_customers(
	struct kappa_array *columns, int partition, const struct tally *tally, int64_t from_hour)
{
	for (size_t i = 0; i < tally->customers.n; i++) {
		const struct customer_minute *minute = table_at(&tally->customers, i);

		if (minute->key.minute < from_hour * KAPPA_HOUR_MINUTES)
			continue;
		kappa_array_number(&columns[0], partition);
		kappa_array_number(&columns[1], minute->key.minute);
		kappa_array_currency(&columns[2], minute->key.currency);
		kappa_array_text(&columns[3], dictionary_get(tally->texts, minute->key.customer));
		kappa_array_number(&columns[4], minute->revenue.gross_e4);
		kappa_array_number(&columns[5], minute->revenue.refunds_e4);
		kappa_array_number(&columns[6], minute->revenue.orders);
		kappa_array_number(&columns[7], minute->revenue.refund_count);
	}
}

static void kappa_late(struct kappa_array *columns, int partition, const struct tally *tally)
{
	for (size_t i = 0; i < tally->late.n; i++) {
		const struct late_day *late = table_at(&tally->late, i);

		kappa_array_number(&columns[0], partition);
		kappa_array_number(&columns[1], late->key.day);
		kappa_array_currency(&columns[2], late->key.currency);
		kappa_array_number(&columns[3], late->events);
		kappa_array_number(&columns[4], late->net_e4);
		kappa_array_number(&columns[5], late->worst_ms);
	}
}

static void kappa_duplicates(struct kappa_array *columns, int partition, const struct table *days)
{
	for (size_t i = 0; i < days->n; i++) {
		const struct values_day *day = table_at(days, i);

		kappa_array_number(&columns[0], partition);
		kappa_array_number(&columns[1], day->day);
		kappa_array_number(&columns[2], day->duplicate);
	}
}

static void kappa_names(struct kappa_array *columns, int partition, const struct values *values)
{
	for (size_t i = 0; i < values->names.n; i++) {
		const struct values_name *name = table_at(&values->names, i);

		kappa_array_number(&columns[0], partition);
		kappa_array_text(&columns[1], dictionary_get(values->tally.texts, name->sku));
		kappa_array_text(&columns[2], dictionary_get(values->tally.texts, name->text));
		kappa_array_number(&columns[3], name->time_ms);
	}
}

void kappa_rows_add(struct kappa_rows *rows, int partition, const struct redis_flush *flush,
	const struct values *values, const struct calendar *calendar, int64_t customers_hour, bool drop)
{
	struct kappa_array *columns = rows->columns;
	char tail[TAIL_TEXT_MAX];

	tail_format(flush->tail, tail);
	kappa_array_number(&columns[KAPPA_PARTITION], partition);
	kappa_array_number(&columns[KAPPA_EXPECTED], flush->expected_next);
	kappa_array_number(&columns[KAPPA_NEXT], flush->new_next);
	kappa_array_time(&columns[KAPPA_LATEST_EVENT], flush->latest.latest_event_ms);
	kappa_array_time(&columns[KAPPA_LATEST_RECORD], flush->latest.latest_record_ms);
	kappa_array_text(&columns[KAPPA_TAIL], (struct text){ tail, strlen(tail) });
	kappa_array_time(&columns[KAPPA_FROM_HOUR], drop ? customers_hour : DATETIME_NONE);
	kappa_counters(&columns[KAPPA_COUNTERS], partition, &values->tally.counters);
	kappa_buckets(&columns[KAPPA_BUCKETS], partition, &values->tally, calendar);
	kappa_products(&columns[KAPPA_PRODUCTS], partition, &values->tally);
	kappa_customers(&columns[KAPPA_CUSTOMERS], partition, &values->tally, customers_hour);
	kappa_late(&columns[KAPPA_LATE], partition, &values->tally);
	kappa_duplicates(&columns[KAPPA_DUPLICATES], partition, &values->days);
	if (flush->lost_from < flush->lost_to) {
		kappa_array_number(&columns[KAPPA_LOST], partition);
		kappa_array_number(&columns[KAPPA_LOST + 1], flush->lost_from);
		kappa_array_number(&columns[KAPPA_LOST + 2], flush->lost_to);
	}
	kappa_names(&columns[KAPPA_NAMES], partition, values);
	rows->n_partitions++;
}

void kappa_rows_params(struct kappa_rows *rows, const char *params[KAPPA_N_COLUMNS])
{
	for (size_t i = 0; i < KAPPA_N_COLUMNS; i++)
		params[i] = kappa_array_done(&rows->columns[i]);
}

void kappa_rows_clear(struct kappa_rows *rows)
{
	for (size_t i = 0; i < KAPPA_N_COLUMNS; i++)
		kappa_array_clear(&rows->columns[i]);
	rows->n_partitions = 0;
}

void kappa_rows_release(struct kappa_rows *rows)
{
	for (size_t i = 0; i < KAPPA_N_COLUMNS; i++)
		free(rows->columns[i].text);
	*rows = (struct kappa_rows){ 0 };
}
