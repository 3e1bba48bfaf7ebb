/* One asynchronous connection to Postgres that keeps itself up: libpq without blocking, on libuv.
 *
 * Happy path: connect, check the schema's version, then statements one after the other; notifications in
 * between. What can fail:
 * - connecting, or a connection that breaks or does not answer in time: the statement under way and those
 *   that wait end with an error, and the connection is opened again after a pause (100 ms, doubling up to 2
 * s);
 * - a database with another schema than ours is treated the same;
 * - a statement that Postgres refuses, or ends because it takes too long, ends with an error of its own.
 * The first failure after a time of health is logged, another schema too, and the recovery. One thread: the
 * loop's. A host name is resolved by libuv, for libpq would block (in a list of hosts it does). */
#ifndef SERVING_PG_LINK_H
#define SERVING_PG_LINK_H

#include <libpq-fe.h>
#include <uv.h>

#include "common/pg.h"

enum { PG_LINK_PARAMS_MAX = 6, PG_LINK_TIMEOUT_MS = 5000 };

/* A statement; embedded in the caller's object, which lives until `done` was called: exactly once, later than
 * pg_link_send(). result is borrowed; NULL with *err when there is none. */
struct pg_link_call {
	void (*done)(struct pg_link_call *call, const PGresult *result, const struct err *err);
	const char *sql; /* borrowed until done */
	int n_params;
	const char *params[PG_LINK_PARAMS_MAX]; /* text, or NULL; borrowed until done */
	struct pg_link_call *next;
	uint64_t deadline_ms;
};

struct pg_link_events {
	void (*on_up)(void *data); /* connected (again) */
	void (*on_notify)(void *data); /* some notification came */
	void *data;
	bool quiet; /* a second connection to the same server, which does not log */
};

struct pg_link;

/* Begins to connect; uri is borrowed. ERR_USAGE for a malformed one. role: for application_name and the log.
 * events: NULL for none; then it is quiet too. */
MUST_USE int pg_link_open(uv_loop_t *loop, const char *uri, const char *role,
	const struct pg_link_events *events, struct pg_link **ret_link, struct err *err);
/* Statements under way and waiting end with ERR_STOPPED before this returns; the link frees itself. */
void pg_link_close(struct pg_link *link);

/* -1: not connected, nothing will be called. While the first attempt to connect is under way the call waits
 * for it. */
MUST_USE int pg_link_send(struct pg_link *link, struct pg_link_call *call, struct err *err);
/* An attempt to connect has failed since the connection was last up, or ever. */
bool pg_link_is_away(const struct pg_link *link);
/* Why the database is of no use, though its server answers: it has another schema. NULL: not known. */
const char *pg_link_refusal(const struct pg_link *link);

#endif
