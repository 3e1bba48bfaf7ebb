#include "common/base.h"
#include "serving/product_table.h"

#include "common/kernel/currency.h"
#include "common/kernel/money.h"
#include "common/mem.h"
#include "common/redis_values.h"
#include "serving/render.h"

void product_table_init(struct product_table *products)
{
	memset(products, 0, sizeof(*products));
	table_init(&products->rows, sizeof(struct product_row), sizeof(struct product_row_key));
}

void product_table_release(struct product_table *products)
{
	for (size_t i = 0; i < products->rows.n; i++)
		free(((struct product_row *)table_at(&products->rows, i))->name);
	table_release(&products->rows);
	free(products->currencies);
	products->currencies = NULL;
	products->n_currencies = 0;
}

static void product_table_add_currency(struct product_table *products, int currency)
{
	for (size_t i = 0; i < products->n_currencies; i++)
		if (products->currencies[i] == currency)
			return;
	products->currencies = xreallocarray(
		products->currencies, products->n_currencies + 1, sizeof(*products->currencies));
	products->currencies[products->n_currencies++] = currency;
}

struct product_row *product_table_put(struct product_table *products, int currency, struct text sku)
{
	struct product_row_key key = { .currency = currency };
	struct product_row *row;
	bool is_new;

	if (sku.len > sizeof(key.sku))
		return NULL;
	memcpy(key.sku, sku.at, sku.len);
	row = table_put(&products->rows, &key, &is_new);
	if (is_new)
		product_table_add_currency(products, currency);
	return row;
}

void product_table_name(struct product_table *products, struct text sku, const char *name)
{
	struct product_row_key key = { 0 };

	if (sku.len > sizeof(key.sku))
		return;
	memcpy(key.sku, sku.at, sku.len);
	for (size_t i = 0; i < products->n_currencies; i++) {
		struct product_row *row;

		key.currency = products->currencies[i];
		row = table_find(&products->rows, &key);
		if (row && !row->name)
			row->name = xstrdup(name);
	}
}

int product_table_add_chunk(struct product_table *products, const struct redis_chunk *chunk, struct err *err)
{
	for (size_t i = 0; i < chunk->n_fields; i++) {
		struct product_row *row = NULL;
		struct text field, sku;
		int64_t value;
		int currency;
		char what;

		if (!redis_chunk_field(chunk, i, &field, &value) &&
			!redis_product_field(field, &what, &currency, &sku))
			row = product_table_put(products, currency, sku);
		if (!row)
			return err_set(err, ERR_DATA,
				"chunk 'p:%" PRId64 "' of the speed view holds a field that is none",
				chunk->number);
		if (money_add(what == 'n' ? row->provisional_e4 : row->provisional_units, value,
			    what == 'n' ? &row->provisional_e4 : &row->provisional_units))
			return err_set(err, ERR_DATA, "a sum of the speed view does not fit 64 bits");
	}
	return 0;
}

/* As an element of a Postgres array. */
static void put_quoted(struct out *out, const struct product_row_key *key)
{
	char quoted[2 * sizeof(key->sku) + 1];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(key->sku) && key->sku[i]; i++) {
		if (key->sku[i] == '"' || key->sku[i] == '\\')
			quoted[len++] = '\\';
		quoted[len++] = key->sku[i];
	}
	quoted[len] = '\0';
	out_raw(out, "\"%s\"", quoted);
}

char *product_table_unnamed(const struct product_table *products)
{
	struct out out;
	char *text = NULL;
	size_t n = 0;

	out_init(&out, PRODUCT_TABLE_UNNAMED_MAX_BYTES);
	out_raw(&out, "{");
	for (size_t r = 0; r < products->rows.n; r++) {
		const struct product_row *row = table_at(&products->rows, r);

		if (row->name || out.len + 2 * sizeof(row->key.sku) + 4 > PRODUCT_TABLE_UNNAMED_MAX_BYTES)
			continue;
		if (n++)
			out_raw(&out, ",");
		put_quoted(&out, &row->key);
	}
	out_raw(&out, "}");
	if (n && !out.full)
		text = xstrndup(out.buf, out.len);
	out_release(&out);
	return text;
}

/* A row as the question sees it. */
struct ranked {
	const struct product_row *row;
	int64_t net_e4, units, by;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->row->key.currency != y->row->key.currency)
		return x->row->key.currency < y->row->key.currency ? -1 : 1;
	if (x->by != y->by)
		return x->by > y->by ? -1 : 1;
	return memcmp(x->row->key.sku, y->row->key.sku, sizeof(x->row->key.sku));
}

/* False when the view has nothing of the row. -1 in *ret_failed when a sum does not fit. */
static bool take_row(const struct product_row *row, const struct question *question,
	struct ranked *ret_ranked, int *ret_failed)
{
	bool batch = question->view != QUESTION_SPEED && (row->confirmed_e4 || row->confirmed_units);
	bool speed = question->view != QUESTION_BATCH && (row->provisional_e4 || row->provisional_units);

	if ((question->currency >= 0 && question->currency != row->key.currency) || (!batch && !speed))
		return false;
	ret_ranked->row = row;
	*ret_failed |= money_add(
		batch ? row->confirmed_e4 : 0, speed ? row->provisional_e4 : 0, &ret_ranked->net_e4);
	*ret_failed |= money_add(
		batch ? row->confirmed_units : 0, speed ? row->provisional_units : 0, &ret_ranked->units);
	ret_ranked->by = question->by_units ? ret_ranked->units : ret_ranked->net_e4;
	return true;
}

static void put_part(struct out *out, const char *key, int64_t e4, int64_t units, unsigned decimals)
{
	out_open(out, key, '{');
	out_money(out, "net", e4, decimals);
	out_int(out, "units", units);
	out_close(out, '}');
}

static void put_product(struct out *out, const struct ranked *ranked, int rank, enum question_view view)
{
	const struct product_row *row = ranked->row;
	unsigned decimals = currency_decimals(row->key.currency);

	out_open(out, NULL, '{');
	out_int(out, "rank", rank);
	out_string(out, "currency", currency_code(row->key.currency));
	out_text(out, "sku", (struct text){ row->key.sku, strnlen(row->key.sku, sizeof(row->key.sku)) });
	out_string(out, "name", row->name);
	out_money(out, "net", ranked->net_e4, decimals);
	out_int(out, "units", ranked->units);
	put_part(out, "confirmed", view == QUESTION_SPEED ? 0 : row->confirmed_e4,
		view == QUESTION_SPEED ? 0 : row->confirmed_units, decimals);
	put_part(out, "provisional", view == QUESTION_BATCH ? 0 : row->provisional_e4,
		view == QUESTION_BATCH ? 0 : row->provisional_units, decimals);
	out_close(out, '}');
}

static void put_ranking(
	struct out *out, const struct ranked *ranked, size_t n, const struct question *question)
{
	int rank = 0;

	out_open(out, "products", '[');
	for (size_t i = 0; i < n; i++) {
		rank = i && ranked[i - 1].row->key.currency == ranked[i].row->key.currency ? rank + 1 : 1;
		if (rank <= question->limit)
			put_product(out, &ranked[i], rank, question->view);
	}
	out_close(out, ']');
}

struct body *product_table_render(const struct product_table *products, const struct snapshot *snapshot,
	const struct question *question, struct problem *problem)
{
	SCOPED(xfreep) struct ranked *ranked = xcalloc(products->rows.n, sizeof(*ranked));
	struct body *body;
	struct out out;
	size_t n = 0;
	int failed = 0;

	for (size_t i = 0; i < products->rows.n; i++)
		n += take_row(table_at(&products->rows, i), question, &ranked[n], &failed);
	if (failed) {
		problem_set(problem, 500, "a sum of these amounts does not fit 64 bits");
		return NULL;
	}
	qsort(ranked, n, sizeof(*ranked), compare_ranked);
	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	if (question->from == question->to) {
		out_date(&out, "date", question->from);
	} else {
		out_date(&out, "from", question->from);
		out_date(&out, "to", question->to);
	}
	out_string(&out, "time_zone", snapshot->rules->calendar->zone);
	out_bool(&out, "final", render_final(snapshot, question));
	out_string(&out, "by", question->by_units ? "units" : "net");
	out_int(&out, "limit", question->limit);
	put_ranking(&out, ranked, n, question);
	render_provenance(&out, snapshot, question);
	out_close(&out, '}');
	body = body_of_out(&out);
	if (!body)
		problem_set(problem, 400,
			"the answer would be too large; ask for fewer products or for one currency");
	return body;
}
