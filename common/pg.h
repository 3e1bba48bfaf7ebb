/* What batch, speed and serving share of libpq: opening, a statement with parameters, errors with advice.
 * Blocking; one thread per connection. (Serving drives its own connection without blocking.) */
#ifndef COMMON_PG_H
#define COMMON_PG_H

#include <libpq-fe.h>

#include "common/err.h"

/* Is it a libpq URI or conninfo text? ERR_USAGE names no secret. */
MUST_USE int pg_check_uri(const char *uri, struct err *err);

/* Connects, with application_name = program, within timeout_ms. ERR_DATABASE names host and port, never a
 * password. */
MUST_USE int pg_open(
	const char *uri, const char *program, int64_t timeout_ms, PGconn **ret_conn, struct err *err);
void pg_close(PGconn **conn); /* for SCOPED() */
void pg_result_free(PGresult **result); /* for SCOPED() */

/* Runs one statement with text parameters (NULL is SQL NULL). *ret_result is the caller's; may be NULL when
 * it is not wanted. A missing schema is ERR_DATABASE with the hint to run 'lambda-batch migrate'. */
MUST_USE int pg_exec(PGconn *conn, const char *sql, int n_params, const char *const *params,
	PGresult **ret_result, struct err *err);

/* The same with a bytea: the last parameter is n_bytes of bytes (0: it is text like the others), and the
 * result is in binary form. */
MUST_USE int pg_exec_bytes(PGconn *conn, const char *sql, int n_params, const char *const *params,
	size_t n_bytes, PGresult **ret_result, struct err *err);

/* The same, but does not wait for the end: pg_await() does, before anything else on this connection. */
MUST_USE int pg_send(PGconn *conn, const char *sql, int n_params, const char *const *params, struct err *err);
MUST_USE int pg_await(PGconn *conn, const char *sql, struct err *err);
/* The server gives up what was sent, as well as can be; for before pg_close(), which does not tell it. */
void pg_cancel(PGconn *conn);

/* Fills *err from a connection's or a result's error: what was tried, the server's words in quotes, the hint
 * if one is known. */
int pg_error(PGconn *conn, const PGresult *result, struct err *err, const char *what);

/* 0 for NULL. (libpq has the name pg_int64 for itself.) */
int64_t pg_number(const PGresult *result, int row, int column);

int64_t pg_time(const PGresult *result, int row, int column); /* ms since 1970; DATETIME_NONE for NULL */

/* The kernel's number of the currency whose code stands there; -1: one that this program does not know. */
int pg_currency(const PGresult *result, int row, int column);

/* The database's schema is the one that this program was made with; ERR_DATABASE when it is older, ERR_DATA
 * when it is newer, with what to do. */
MUST_USE int pg_schema_check(PGconn *conn, struct err *err);
/* The same, of the answer to sql_migrations_version. */
MUST_USE int pg_schema_fits(int64_t version, struct err *err);

/* What is published, with what adopt and a resume need. */
struct pg_cut {
	int64_t first_offset, next_offset;
	int64_t latest_event_ms, latest_record_ms; /* struct fold_state; DATETIME_NONE: none */
	char tail[40];
};

struct pg_published {
	int64_t publication; /* 0: nothing published yet */
	int64_t run;
	char fold_version[160];
	char log[256];
	int n_cuts; /* by partition, from 0; a partition added since is not in it: its cut is the log's first
		       offset */
	struct pg_cut *cuts; /* owned */
};

/* The schema must be there (ERR_DATABASE with hint otherwise). */
MUST_USE int pg_published_load(PGconn *conn, struct pg_published *ret_published, struct err *err);
void pg_published_release(struct pg_published *published);

#endif
