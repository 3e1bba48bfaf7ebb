#include "common/base.h"
#include "serving/segments.h"

#include "common/kernel/currency.h"
#include "common/pg.h"

/* From the best to the lost. */
static const char *const segment_names[] = { "champion", "loyal", "potential_loyalist", "new", "promising",
	"needs_attention", "about_to_sleep", "at_risk", "cant_lose", "hibernating", "lost" };

static bool row_is_asked(const PGresult *rows, int row, int column, const struct question *question)
{
	return question->currency < 0 || pg_currency(rows, row, column) == question->currency;
}

static void put_money(struct out *out, int64_t gross_e4, int64_t refunds_e4, int currency)
{
	unsigned decimals = currency < 0 ? 4 : currency_decimals(currency);

	out_money(out, "net", gross_e4 - refunds_e4, decimals);
	out_money(out, "gross", gross_e4, decimals);
	out_money(out, "refunds", refunds_e4, decimals);
}

/* Rows [row, end) are of one currency: currency, segment, customers, orders, gross_e4, refunds_e4. */
static void put_currency(struct out *out, const PGresult *rows, int row, int end)
{
	int currency = pg_currency(rows, row, 0);

	out_open(out, NULL, '{');
	out_string(out, "currency", PQgetvalue(rows, row, 0));
	out_open(out, "segments", '[');
	for (size_t i = 0; i < ARRAY_SIZE(segment_names); i++) {
		int found = row;

		while (found < end && strcmp(PQgetvalue(rows, found, 1), segment_names[i]) != 0)
			found++;
		out_open(out, NULL, '{');
		out_string(out, "segment", segment_names[i]);
		out_int(out, "customers", found < end ? pg_number(rows, found, 2) : 0);
		out_int(out, "orders", found < end ? pg_number(rows, found, 3) : 0);
		put_money(out, found < end ? pg_number(rows, found, 4) : 0,
			found < end ? pg_number(rows, found, 5) : 0, currency);
		out_close(out, '}');
	}
	out_close(out, ']');
	out_close(out, '}');
}

struct body *segments_render(const PGresult *rows, const struct snapshot *snapshot,
	const struct question *question, struct problem *problem)
{
	int n = PQntuples(rows);
	struct out out;

	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_open(&out, "currencies", '[');
	for (int row = 0, end; row < n; row = end) {
		for (end = row + 1; end < n && !strcmp(PQgetvalue(rows, end, 0), PQgetvalue(rows, row, 0));)
			end++;
		if (row_is_asked(rows, row, 0, question))
			put_currency(&out, rows, row, end);
	}
	out_close(&out, ']');
	render_batch_provenance(&out, snapshot, question);
	out_close(&out, '}');
	return render_finish(&out, 0, problem);
}

static void put_score(struct out *out, const char *key, const PGresult *rows, int row, int column)
{
	if (PQgetisnull(rows, row, column))
		out_null(out, key);
	else
		out_int(out, key, pg_number(rows, row, column));
}

static int64_t row_minute_ms(const PGresult *rows, int row, int column)
{
	return PQgetisnull(rows, row, column) ? DATETIME_NONE : pg_number(rows, row, column) * MINUTE_MS;
}

/* currency, segment, recency, frequency, monetary, orders, refund_count, gross_e4, refunds_e4, first and last
 * minute */
static void put_profile(struct out *out, const PGresult *rows, int row)
{
	out_open(out, NULL, '{');
	out_string(out, "currency", PQgetvalue(rows, row, 0));
	out_string(out, "segment", PQgetisnull(rows, row, 1) ? NULL : PQgetvalue(rows, row, 1));
	put_score(out, "recency", rows, row, 2);
	put_score(out, "frequency", rows, row, 3);
	put_score(out, "monetary", rows, row, 4);
	out_int(out, "orders", pg_number(rows, row, 5));
	out_int(out, "refund_count", pg_number(rows, row, 6));
	put_money(out, pg_number(rows, row, 7), pg_number(rows, row, 8), pg_currency(rows, row, 0));
	out_second(out, "first_order", row_minute_ms(rows, row, 9));
	out_second(out, "last_order", row_minute_ms(rows, row, 10));
	out_close(out, '}');
}

struct body *segments_render_profile(const PGresult *rows, const struct snapshot *snapshot,
	const struct question *question, struct problem *problem)
{
	struct out out;

	if (!PQntuples(rows)) {
		problem_set(problem, 404, "the published run knows no customer '%.64s'", question->customer);
		return NULL;
	}
	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_string(&out, "customer_id", question->customer);
	out_open(&out, "currencies", '[');
	for (int row = 0; row < PQntuples(rows); row++)
		if (row_is_asked(rows, row, 0, question))
			put_profile(&out, rows, row);
	out_close(&out, ']');
	render_batch_provenance(&out, snapshot, question);
	out_close(&out, '}');
	return render_finish(&out, 0, problem);
}
