/* Two transactions beside each other: the largest table's, and that of all others. Failure modes:
 * - a connection breaks: everything once more, on others; the tables of the first try are dropped, whether
 *   its COMMITs came through or not
 * - disk full, no permission: ERR_DATABASE
 * - a kill: the server forgets the transaction */
#include "common/base.h"
#include "batch/store.h"

#include "batch/batch.h"
#include "batch/copy.h"
#include "batch/database.h"
#include "common/kernel/currency.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"

enum { STORE_STEP = 65536 };

/* What comes in order of its key is stored and read in that order too. */
struct store_row {
	int64_t first; /* minute or day */
	int32_t currency; /* in order of code, like the kernel's numbers */
	struct text sku;
	const void *entry;
};

static int store_compare(const void *a, const void *b)
{
	const struct store_row *x = a, *y = b;
	size_t len = x->sku.len < y->sku.len ? x->sku.len : y->sku.len;
	int order;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->currency != y->currency)
		return x->currency < y->currency ? -1 : 1;
	order = len ? memcmp(x->sku.at, y->sku.at, len) : 0;
	return order ? order : (x->sku.len > y->sku.len) - (x->sku.len < y->sku.len);
}

static struct text store_text(const char *text)
{
	return (struct text){ text, strlen(text) };
}

static void store_revenue(struct copy *copy, const struct revenue *revenue)
{
	copy_int64(copy, revenue->gross_e4);
	copy_int64(copy, revenue->refunds_e4);
	copy_int64(copy, revenue->orders);
	copy_int64(copy, revenue->refund_count);
	copy_int64(copy, revenue->units);
}

static void store_table(char name[64], const char *parent, int64_t run)
{
	snprintf(name, 64, "lambda.%s_r%" PRId64, parent, run);
}

static int store_minutes(const struct config *config, PGconn *conn, int64_t run, const struct result *result,
	struct progress *progress, int64_t *done, struct err *err)
{
	const struct table *buckets = &result->sums.tally.buckets;
	SCOPED(xfreep) struct store_row *rows = xcalloc(buckets->n, sizeof(*rows));
	struct copy copy;
	char name[64];

	for (size_t i = 0; i < buckets->n; i++) {
		const struct bucket *bucket = table_at(buckets, i);

		rows[i] = (struct store_row){
			.first = bucket->key.minute, .currency = bucket->key.currency, .entry = bucket
		};
	}
	qsort(rows, buckets->n, sizeof(*rows), store_compare);
	store_table(name, "revenue_minutes", run);
	copy_start(&copy, conn, name);
	for (size_t i = 0; i < buckets->n; i++) {
		int64_t ms = rows[i].first * MINUTE_MS;

		copy_row(&copy, 9);
		copy_int64(&copy, run);
		copy_time(&copy, ms);
		copy_date(&copy, calendar_day(&config->calendar, ms));
		copy_text(&copy, store_text(currency_code(rows[i].currency)));
		store_revenue(&copy, &((const struct bucket *)rows[i].entry)->revenue);
		if (++*done % STORE_STEP == 0)
			progress_at(progress, *done);
	}
	return copy_end(&copy, err);
}

static int store_days(PGconn *conn, int64_t run, const struct result *result, int64_t *done, struct err *err)
{
	SCOPED(xfreep) struct store_row *rows = xcalloc(result->days.n, sizeof(*rows));
	struct copy copy;
	char name[64];

	for (size_t i = 0; i < result->days.n; i++) {
		const struct day_sum *sum = table_at(&result->days, i);

		rows[i] = (struct store_row){
			.first = sum->key.day, .currency = sum->key.currency, .entry = sum
		};
	}
	qsort(rows, result->days.n, sizeof(*rows), store_compare);
	store_table(name, "revenue_days", run);
	copy_start(&copy, conn, name);
	for (size_t i = 0; i < result->days.n; i++) {
		copy_row(&copy, 8);
		copy_int64(&copy, run);
		copy_date(&copy, (int32_t)rows[i].first);
		copy_text(&copy, store_text(currency_code(rows[i].currency)));
		store_revenue(&copy, &((const struct day_sum *)rows[i].entry)->revenue);
		++*done;
	}
	return copy_end(&copy, err);
}

static int store_products(PGconn *conn, int64_t run, const struct result *result, struct progress *progress,
	int64_t *done, struct err *err)
{
	const struct tally *tally = &result->sums.tally;
	SCOPED(xfreep) struct store_row *rows = xcalloc(tally->products.n, sizeof(*rows));
	struct copy copy;
	char name[64];

	for (size_t i = 0; i < tally->products.n; i++) {
		const struct product *product = table_at(&tally->products, i);

		rows[i] = (struct store_row){ product->key.day, product->key.currency,
			dictionary_get(tally->texts, product->key.sku), product };
	}
	qsort(rows, tally->products.n, sizeof(*rows), store_compare);
	store_table(name, "product_days", run);
	copy_start(&copy, conn, name);
	for (size_t i = 0; i < tally->products.n; i++) {
		const struct product *product = rows[i].entry;

		copy_row(&copy, 6);
		copy_int64(&copy, run);
		copy_date(&copy, product->key.day);
		copy_text(&copy, store_text(currency_code(product->key.currency)));
		copy_text(&copy, rows[i].sku);
		copy_int64(&copy, product->net_e4);
		copy_int64(&copy, product->units);
		if (++*done % STORE_STEP == 0)
			progress_at(progress, *done);
	}
	return copy_end(&copy, err);
}

static int store_names(PGconn *conn, int64_t run, const struct result *result, int64_t *done, struct err *err)
{
	struct copy copy;
	char name[64];

	store_table(name, "product_names", run);
	copy_start(&copy, conn, name);
	for (uint32_t sku = 0; sku < result->names.n; sku++) {
		const struct name *at = &result->names.names[sku];
		struct text text = names_get(&result->names, sku);

		if (!text.at)
			continue;
		copy_row(&copy, 6);
		copy_int64(&copy, run);
		copy_text(&copy, dictionary_get(result->sums.tally.texts, sku));
		copy_text(&copy, text);
		copy_int64(&copy, at->time_ms);
		copy_int64(&copy, at->partition);
		copy_int64(&copy, at->offset);
		++*done;
	}
	return copy_end(&copy, err);
}

static int store_late(PGconn *conn, int64_t run, const struct result *result, int64_t *done, struct err *err)
{
	const struct table *days = &result->sums.tally.late;
	struct copy copy;
	char name[64];

	store_table(name, "late_days", run);
	copy_start(&copy, conn, name);
	for (size_t i = 0; i < days->n; i++) {
		const struct late_day *late = table_at(days, i);

		copy_row(&copy, 6);
		copy_int64(&copy, run);
		copy_date(&copy, late->key.day);
		copy_text(&copy, store_text(currency_code(late->key.currency)));
		copy_int64(&copy, late->events);
		copy_int64(&copy, late->net_e4);
		copy_int64(&copy, late->worst_ms);
		++*done;
	}
	return copy_end(&copy, err);
}

static int store_customers(PGconn *conn, int64_t run, const struct result *result, struct progress *progress,
	int64_t *done, struct err *err)
{
	const struct tally *tally = &result->sums.tally;
	struct copy copy;
	char name[64];

	store_table(name, "customer_minutes", run);
	copy_start(&copy, conn, name);
	for (size_t i = 0; i < tally->customers.n; i++) {
		const struct customer_minute *minute = table_at(&tally->customers, i);

		copy_row(&copy, 8);
		copy_int64(&copy, run);
		copy_text(&copy, dictionary_get(tally->texts, minute->key.customer));
		copy_time(&copy, (int64_t)minute->key.minute * MINUTE_MS);
		copy_text(&copy, store_text(currency_code(minute->key.currency)));
		copy_int64(&copy, minute->revenue.gross_e4);
		copy_int64(&copy, minute->revenue.refunds_e4);
		copy_int64(&copy, minute->revenue.orders);
		copy_int64(&copy, minute->revenue.refund_count);
		if (++*done % STORE_STEP == 0)
			progress_at(progress, *done);
	}
	return copy_end(&copy, err);
}

/* --- customers over all history --- */

struct store_parts {
	struct copy copy;
	struct progress *progress;
	int64_t *done;
};

static int store_customer_part(void *arg, const struct customer_sum *sum, struct err *err)
{
	struct store_parts *parts = arg;

	(void)err; /* failures show in copy_end() */
	copy_row(&parts->copy, 8);
	copy_text(&parts->copy, sum->customer);
	copy_text(&parts->copy, store_text(currency_code(sum->currency)));
	copy_int64(&parts->copy, sum->revenue.gross_e4);
	copy_int64(&parts->copy, sum->revenue.refunds_e4);
	copy_int64(&parts->copy, sum->revenue.orders);
	copy_int64(&parts->copy, sum->revenue.refund_count);
	copy_int64(&parts->copy, sum->first_minute);
	copy_int64(&parts->copy, sum->last_minute);
	if (++*parts->done % STORE_STEP == 0)
		progress_at(parts->progress, *parts->done);
	return 0;
}

static int store_known_customers(PGconn *conn, int64_t replay_of, int64_t *n_events, struct err *err)
{
	SCOPED(pg_result_free) PGresult *known = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, replay_of) };

	if (pg_exec(conn, sql_replay_customers, 1, params, &known, err))
		return -1;
	*n_events += pg_number(known, 0, 0);
	return 0;
}

/* Postgres adds up the parts that the threads have, and ranks: sorting is what it does best, in bounded
 * memory. */
static int store_segments(PGconn *conn, int64_t run, const struct result *result, int64_t replay_of,
	struct progress *progress, int64_t *done, struct err *err)
{
	int64_t n_events = result->n_of_customers;
	struct store_parts parts = { .progress = progress, .done = done };
	SCOPED(pg_result_free) PGresult *filled = NULL;
	char number[DATABASE_NUMBER_MAX];
	struct err copied;
	int failed = 0;

	if (pg_exec(conn, sql_customer_parts_create, 0, NULL, NULL, err))
		return -1;
	copy_start(&parts.copy, conn, "pg_temp.customer_parts");
	for (int i = 0; i < result->n_customers && !failed; i++)
		failed = customers_each(&result->customers[i], store_customer_part, &parts, err);
	if (copy_end(&parts.copy, &copied) && !failed) {
		*err = copied;
		failed = -1;
	}
	if (failed)
		return -1;
	if (replay_of && store_known_customers(conn, replay_of, &n_events, err))
		return -1;
	if (pg_exec(conn, sql_customer_parts_fill, 1, (const char *const[]){ database_number(number, run) },
		    &filled, err))
		return -1;
	if (pg_number(filled, 0, 0) != n_events)
		return err_set(err, ERR_INTERNAL,
			"control totals: the customers have %" PRId64 " events, not %" PRId64
			"; nothing is published",
			pg_number(filled, 0, 0), n_events);
	return 0;
}

/* --- all together --- */

/* The largest table has a connection of its own, on which Postgres completes it while we go on. */
static const char store_large[] = "{product_days}";
static const char store_others[] =
	"{revenue_minutes,revenue_days,product_names,late_days,customer_minutes,customers,segments}";

static int store_begin(PGconn *conn, const char *run, const char *tables, struct err *err)
{
	const char *const params[] = { run, tables };

	return pg_exec(conn, "BEGIN", 0, NULL, NULL, err)
		       ? -1
		       : pg_exec(conn, sql_run_tables_create, 2, params, NULL, err);
}

static int store_try(const struct config *config, PGconn *conn, PGconn *large, int64_t run,
	const struct result *result, int64_t replay_of, struct progress *progress, int64_t *done,
	struct err *err)
{
	char number[3][DATABASE_NUMBER_MAX];
	const char *run_number = database_number(number[0], run);
	const char *base = replay_of ? database_number(number[1], replay_of) : NULL;
	const char *const complete_large[] = { run_number, base, store_large };
	const char *const complete_others[] = { run_number, base, store_others };
	const char *const rows[] = { run_number, number[2] };

	*done = 0;
	if (pg_exec(conn, sql_run_tables_drop_left, 0, NULL, NULL, err) ||
		store_begin(large, run_number, store_large, err) ||
		store_products(large, run, result, progress, done, err) ||
		pg_send(large, sql_run_tables_complete, 3, complete_large, err) ||
		store_begin(conn, run_number, store_others, err) ||
		store_minutes(config, conn, run, result, progress, done, err) ||
		store_days(conn, run, result, done, err) || store_names(conn, run, result, done, err) ||
		store_late(conn, run, result, done, err) ||
		store_customers(conn, run, result, progress, done, err) ||
		(result->customers && store_segments(conn, run, result, replay_of, progress, done, err)) ||
		pg_exec(conn, sql_run_tables_complete, 3, complete_others, NULL, err) ||
		pg_await(large, sql_run_tables_complete, err) || pg_exec(large, "COMMIT", 0, NULL, NULL, err))
		return -1;
	database_number(number[2], *done);
	if (pg_exec(conn, sql_run_rows, 2, rows, NULL, err) || pg_exec(conn, "COMMIT", 0, NULL, NULL, err))
		return -1;
	return 0;
}

/* 1: done; 0: a connection broke; -1 */
static int store_once(const struct config *config, PGconn **conn, int64_t run, const struct result *result,
	int64_t replay_of, struct progress *progress, int64_t *done, struct err *err)
{
	SCOPED(pg_close) PGconn *large = NULL;
	bool another;

	if (database_ensure(config, conn, &another, err) || database_open(config, &large, err))
		return -1;
	if (!store_try(config, *conn, large, run, result, replay_of, progress, done, err))
		return 1;
	if (!database_lost(*conn) && !database_lost(large))
		return -1;
	pg_close(conn); /* and with it the transaction of a first try */
	if (!database_lost(large))
		pg_cancel(large); /* the next try's table would wait for the end of what it is doing */
	return 0;
}

int store_result(const struct config *config, PGconn **conn, int64_t run, const struct result *result,
	int64_t replay_of, struct progress *progress, struct err *err)
{
	const struct tally *tally = &result->sums.tally;
	int64_t n_rows =
		(int64_t)(tally->buckets.n + result->days.n + tally->products.n + tally->customers.n);
	int64_t done;
	int status;

	for (int i = 0; i < result->n_customers; i++)
		n_rows += customers_count(&result->customers[i]);
	progress_phase(progress, "copying", "rows", n_rows);
	for (int left = 2;
		(status = store_once(config, conn, run, result, replay_of, progress, &done, err)) < 1;
		left--) {
		if (batch_stop_asked())
			return batch_stopped(err);
		if (left == 1 || status < 0)
			return err_wrap(err, "cannot store the result");
		log_warn("%s; trying once more", err->msg);
	}
	progress_end(progress, done);
	return 0;
}
