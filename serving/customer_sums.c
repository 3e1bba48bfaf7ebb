#include "common/base.h"
#include "serving/customer_sums.h"

#include "common/kernel/currency.h"
#include "common/redis_values.h"
#include "serving/render.h"

enum { HOUR_MINUTES = 60 };

void customer_sums_init(struct customer_sums *sums, int64_t from, int64_t to)
{
	*sums = (struct customer_sums){
		.from = from, .to = to, .first = { INT64_MAX, INT64_MAX }, .last = { INT64_MIN, INT64_MIN }
	};
	table_init(&sums->currencies, sizeof(struct customer_sum), sizeof(int32_t));
}

void customer_sums_release(struct customer_sums *sums)
{
	table_release(&sums->currencies);
}

int customer_sums_add(struct customer_sums *sums, int64_t minute, int currency, const struct revenue *more,
	bool provisional, struct err *err)
{
	int32_t key = currency;
	struct customer_sum *sum;
	bool is_new;

	if (minute < sums->from || minute >= sums->to)
		return 0;
	if (more->orders) {
		if (minute < sums->first[provisional])
			sums->first[provisional] = minute;
		if (minute > sums->last[provisional])
			sums->last[provisional] = minute;
	}
	sum = table_put(&sums->currencies, &key, &is_new);
	if (revenue_add(provisional ? &sum->provisional : &sum->confirmed, more))
		return err_set(err, ERR_DATA, "a customer's sum does not fit 64 bits");
	return 0;
}

static int customer_sums_add_field(
	struct customer_sums *sums, const struct redis_chunk *chunk, size_t i, struct err *err)
{
	struct revenue more = { 0 };
	struct text field;
	int64_t value;
	int minute, currency;
	char what;

	if (redis_chunk_field(chunk, i, &field, &value) ||
		redis_revenue_field(field, &minute, &currency, &what) ||
		redis_revenue_add(&more, what, value))
		return err_set(err, ERR_DATA,
			"chunk 'o:%" PRId64 "' of the speed view holds a value that is none", chunk->number);
	return customer_sums_add(sums, chunk->number * HOUR_MINUTES + minute, currency, &more, true, err);
}

int customer_sums_add_view(struct customer_sums *sums, const struct redis_view *view, struct err *err)
{
	for (size_t g = 0; g < view->n_generations; g++) {
		const struct redis_generation_view *generation = &view->generations[g];

		for (size_t c = 0; c < generation->n_chunks; c++) {
			const struct redis_chunk *chunk = &generation->chunks[c];

			if (chunk->kind != 'o' || chunk->number < 0 ||
				chunk->number >= DATETIME_END_MS / (HOUR_MINUTES * MINUTE_MS))
				return err_set(
					err, ERR_DATA, "the speed view sent a chunk that was not asked for");
			for (size_t i = 0; i < chunk->n_fields; i++)
				if (customer_sums_add_field(sums, chunk, i, err))
					return -1;
		}
	}
	return 0;
}

void customer_sums_drop_provisional(struct customer_sums *sums)
{
	sums->first[true] = INT64_MAX;
	sums->last[true] = INT64_MIN;
	for (size_t i = 0; i < sums->currencies.n; i++)
		((struct customer_sum *)table_at(&sums->currencies, i))->provisional = (struct revenue){ 0 };
}

/* --- the answer --- */

static void put_part(struct out *out, const char *key, const struct revenue *part, int currency)
{
	out_open(out, key, '{');
	out_int(out, "orders", part->orders);
	out_money(out, "net", part->gross_e4 - part->refunds_e4, currency_decimals(currency));
	out_close(out, '}');
}

/* -1: a sum does not fit */
static int put_currency(struct out *out, const struct customer_sum *sum)
{
	unsigned decimals = currency_decimals(sum->currency);
	struct revenue all = sum->confirmed;

	if (revenue_add(&all, &sum->provisional))
		return -1;
	out_open(out, NULL, '{');
	out_string(out, "currency", currency_code(sum->currency));
	out_int(out, "orders", all.orders);
	out_int(out, "refund_count", all.refund_count);
	out_money(out, "net", all.gross_e4 - all.refunds_e4, decimals);
	out_money(out, "gross", all.gross_e4, decimals);
	out_money(out, "refunds", all.refunds_e4, decimals);
	put_part(out, "confirmed", &sum->confirmed, sum->currency);
	put_part(out, "provisional", &sum->provisional, sum->currency);
	out_close(out, '}');
	return 0;
}

static int put_currencies(struct out *out, const struct customer_sums *sums, const struct question *question)
{
	int failed = 0;

	out_open(out, "amounts", '[');
	for (int32_t c = 0; c < currency_count() && !failed; c++) {
		const struct customer_sum *sum = table_find(&sums->currencies, &c);

		if (sum && (question->currency < 0 || question->currency == c))
			failed = put_currency(out, sum);
	}
	out_close(out, ']');
	return failed;
}

static void put_counts(struct out *out, const struct customer_sums *sums, const struct question *question)
{
	int64_t orders = 0, refund_count = 0;

	for (size_t i = 0; i < sums->currencies.n; i++) {
		const struct customer_sum *sum = table_at(&sums->currencies, i);

		if (question->currency >= 0 && question->currency != sum->currency)
			continue;
		orders += sum->confirmed.orders + sum->provisional.orders;
		refund_count += sum->confirmed.refund_count + sum->provisional.refund_count;
	}
	out_int(out, "orders", orders);
	out_int(out, "refund_count", refund_count);
}

struct body *customer_sums_render(const struct customer_sums *sums, const struct snapshot *snapshot,
	const struct question *question, bool complete, struct problem *problem)
{
	int64_t first = sums->first[0] < sums->first[1] ? sums->first[0] : sums->first[1];
	int64_t last = sums->last[0] > sums->last[1] ? sums->last[0] : sums->last[1];
	struct out out;
	int failed;

	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_string(&out, "customer_id", question->customer);
	out_string(&out, "time_zone", snapshot->rules->calendar->zone);
	out_bool(&out, "final", false); /* the window moves */
	out_second(&out, "from", sums->from * MINUTE_MS);
	out_second(&out, "to", sums->to * MINUTE_MS);
	out_bool(&out, "complete", complete);
	put_counts(&out, sums, question);
	out_second(&out, "first", first <= last ? first * MINUTE_MS : DATETIME_NONE);
	out_second(&out, "last", first <= last ? last * MINUTE_MS : DATETIME_NONE);
	failed = put_currencies(&out, sums, question);
	render_provenance(&out, snapshot, question);
	out_close(&out, '}');
	return render_finish(&out, failed, problem);
}
