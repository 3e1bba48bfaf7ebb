/* See pg.h. Failure modes of a statement: the server refuses it (its words are passed on, with advice where
 * we know some), or the connection breaks: then the outcome is unknown, PQstatus() is CONNECTION_BAD, and the
 * caller opens another one. */
#include "common/base.h"
#include "common/pg.h"

#include <limits.h>

#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"

static const struct {
	const char *state, *hint;
} pg_hints[] = {
	{ "3F000", "the database has no lambda schema, or an older one; run 'lambda-batch migrate'" },
	{ "42P01", "the database has no lambda schema, or an older one; run 'lambda-batch migrate'" },
	{ "42703", "the database has an older lambda schema; run 'lambda-batch migrate'" },
	{ "42501", "this database user may not do that; make it a member of the role of the program, or use "
		   "the schema's owner" },
	{ "53100", "the database server's disk is full" },
	{ "53300", "the database server has no connection left" },
	{ "55P03", "another session holds the lock; see pg_locks" },
	{ "25006", "this server is a standby; connect to the primary" },
};

enum { PG_PARAMS_MAX = 8 };

static const char *pg_hint(const char *state)
{
	for (size_t i = 0; state && i < ARRAY_SIZE(pg_hints); i++)
		if (!strcmp(state, pg_hints[i].state))
			return pg_hints[i].hint;
	return NULL;
}

/* lock_not_available and deadlock_detected: nothing is wrong but the moment. numeric_value_out_of_range: no
 * other moment is better. */
static enum err_code pg_code(const char *state)
{
	if (state && (!strcmp(state, "55P03") || !strcmp(state, "40P01")))
		return ERR_BUSY;
	return state && !strcmp(state, "22003") ? ERR_DATA : ERR_DATABASE;
}

/* Length without the line ends that libpq puts behind its messages. */
static int pg_message_length(const char *message)
{
	size_t len = strlen(message);

	while (len && (message[len - 1] == '\n' || message[len - 1] == ' '))
		len--;
	return (int)len;
}

int pg_error(PGconn *conn, const PGresult *result, struct err *err, const char *what)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *message = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *hint = pg_hint(state);

	if (!message || !*message)
		message = PQerrorMessage(conn);
	return err_set(err, pg_code(state), "%s: postgres says '%.*s'%s%s%s%s%s", what,
		pg_message_length(message), message, state ? " (" : "", state ? state : "", state ? ")" : "",
		hint ? "; hint: " : "", hint ? hint : "");
}

/* libpq's own words about a malformed URI quote it whole, with its password. */
int pg_check_uri(const char *uri, struct err *err)
{
	char *message = NULL;
	PQconninfoOption *options = PQconninfoParse(uri, &message);

	if (message)
		PQfreemem(message);
	if (!options)
		return err_set(err, ERR_USAGE,
			"the postgres setting is no libpq URI; "
			"hint: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters as "
			"%%XX");
	PQconninfoFree(options);
	return 0;
}

int pg_open(const char *uri, const char *program, int64_t timeout_ms, PGconn **ret_conn, struct err *err)
{
	char timeout[32];
	/* what stands before the URI is a default that it may change: a server that vanished without a word
	 * is noticed within a minute, not after the kernel's two hours */
	const char *const names[] = { "keepalives_idle", "keepalives_interval", "keepalives_count",
		"tcp_user_timeout", "dbname", "application_name", "client_encoding", "connect_timeout",
		NULL };
	const char *const values[] = { "30", "10", "3", "60000", uri, program, "UTF8", timeout, NULL };
	PGconn *conn;

	if (pg_check_uri(uri, err))
		return -1;
	snprintf(timeout, sizeof(timeout), "%" PRId64, timeout_ms < 2000 ? 2 : (timeout_ms + 999) / 1000);
	conn = PQconnectdbParams(names, values, 1);
	if (!conn || PQstatus(conn) != CONNECTION_OK) {
		pg_error(conn, NULL, err, "cannot connect to postgres");
		PQfinish(conn);
		return -1;
	}
	*ret_conn = conn;
	return 0;
}

void pg_close(PGconn **conn)
{
	PQfinish(*conn);
	*conn = NULL;
}

void pg_result_free(PGresult **result)
{
	PQclear(*result);
	*result = NULL;
}

/* The statement's first line, for messages; our files begin with a comment that says what they do. */
static void pg_what(const char *sql, char *buf, size_t size)
{
	while (*sql == '-' || *sql == ' ' || *sql == '\n')
		sql++;
	snprintf(buf, size, "%.*s", (int)strcspn(sql, ";\n"), sql);
}

/* *result goes to *ret_result, if it is a good one and wanted. */
static int pg_take(PGconn *conn, const char *sql, PGresult **result, PGresult **ret_result, struct err *err)
{
	char what[100];

	switch (PQresultStatus(*result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_COPY_IN:
	case PGRES_EMPTY_QUERY:
		break;
	default:
		pg_what(sql, what, sizeof(what));
		return pg_error(conn, *result, err, what);
	}
	if (ret_result) {
		*ret_result = *result;
		*result = NULL;
	}
	return 0;
}

int pg_exec(PGconn *conn, const char *sql, int n_params, const char *const *params, PGresult **ret_result,
	struct err *err)
{
	/* several statements in one text are fine without parameters */
	SCOPED(pg_result_free)
	PGresult *result =
		n_params ? PQexecParams(conn, sql, n_params, NULL, params, NULL, NULL, 0) : PQexec(conn, sql);

	return pg_take(conn, sql, &result, ret_result, err);
}

int pg_exec_bytes(PGconn *conn, const char *sql, int n_params, const char *const *params, size_t n_bytes,
	PGresult **ret_result, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	int lengths[PG_PARAMS_MAX] = { 0 }, formats[PG_PARAMS_MAX] = { 0 };

	assert(n_params > 0 && n_params <= PG_PARAMS_MAX && n_bytes <= INT_MAX);
	lengths[n_params - 1] = (int)n_bytes;
	formats[n_params - 1] = n_bytes > 0;
	result = PQexecParams(conn, sql, n_params, NULL, params, lengths, formats, 1);
	return pg_take(conn, sql, &result, ret_result, err);
}

int pg_send(PGconn *conn, const char *sql, int n_params, const char *const *params, struct err *err)
{
	char what[100];

	if (PQsendQueryParams(conn, sql, n_params, NULL, params, NULL, NULL, 0))
		return 0;
	pg_what(sql, what, sizeof(what));
	return pg_error(conn, NULL, err, what);
}

int pg_await(PGconn *conn, const char *sql, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = PQgetResult(conn);
	int failed = pg_take(conn, sql, &result, NULL, err);

	for (PGresult *more; (more = PQgetResult(conn));)
		PQclear(more);
	return failed;
}

void pg_cancel(PGconn *conn)
{
	char ignored[256];
	PGcancel *cancel = PQgetCancel(conn);

	if (cancel && !PQcancel(cancel, ignored, sizeof(ignored)))
		log_debug("cannot cancel: %s", ignored);
	PQfreeCancel(cancel);
}

int64_t pg_number(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? 0 : strtoll(PQgetvalue(result, row, column), NULL, 10);
}

int pg_currency(const PGresult *result, int row, int column)
{
	return currency_find(
		(struct text){ PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column) });
}

int pg_schema_check(PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;

	if (pg_exec(conn, sql_migrations_version, 0, NULL, &result, err))
		return -1;
	return pg_schema_fits(pg_number(result, 0, 0), err);
}

int pg_schema_fits(int64_t version, struct err *err)
{
	if (version < n_sql_migrations)
		return err_set(err, ERR_DATABASE,
			"the database's schema has version %" PRId64 ", this program needs %d; "
			"hint: run 'lambda-batch migrate'",
			version, n_sql_migrations);
	if (version > n_sql_migrations)
		return err_set(err, ERR_DATA,
			"the database's schema has version %" PRId64 ", this program only knows %d; "
			"hint: use the newer program that migrated it",
			version, n_sql_migrations);
	return 0;
}

int64_t pg_time(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? DATETIME_NONE : pg_number(result, row, column);
}

static int pg_published_cuts(PGconn *conn, struct pg_published *published, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char run[32];

	snprintf(run, sizeof(run), "%" PRId64, published->run);
	if (pg_exec(conn, sql_published_cuts, 1, (const char *const[]){ run }, &result, err))
		return -1;
	published->n_cuts = PQntuples(result);
	published->cuts = xcalloc((size_t)published->n_cuts, sizeof(*published->cuts));
	for (int i = 0; i < published->n_cuts; i++) {
		struct pg_cut *cut = &published->cuts[i];

		if (pg_number(result, i, 0) != i)
			return err_set(err, ERR_DATA,
				"the cut of run %s has no partition %d; hint: restore lambda.cuts", run, i);
		cut->next_offset = pg_number(result, i, 1);
		cut->latest_event_ms = pg_time(result, i, 2);
		cut->latest_record_ms = pg_time(result, i, 3);
		snprintf(cut->tail, sizeof(cut->tail), "%s", PQgetvalue(result, i, 4));
		cut->first_offset = pg_number(result, i, 5);
	}
	return 0;
}

int pg_published_load(PGconn *conn, struct pg_published *ret_published, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	struct pg_published published = { 0 };

	if (pg_exec(conn, sql_published, 0, NULL, &result, err))
		return -1;
	if (PQntuples(result)) {
		published.publication = pg_number(result, 0, 0);
		published.run = pg_number(result, 0, 1);
		snprintf(published.fold_version, sizeof(published.fold_version), "%s",
			PQgetvalue(result, 0, 2));
		snprintf(published.log, sizeof(published.log), "%s", PQgetvalue(result, 0, 3));
		if (pg_published_cuts(conn, &published, err)) {
			pg_published_release(&published);
			return -1;
		}
	}
	*ret_published = published;
	return 0;
}

void pg_published_release(struct pg_published *published)
{
	free(published->cuts);
	*published = (struct pg_published){ 0 };
}
