#include "common/base.h"
#include "batch/database.h"

#include "common/log.h"
#include "embedded.h"

enum { DATABASE_PAUSE_MS = 200, DATABASE_PAUSE_MAX_MS = 5000, DATABASE_TRY_MS = 5000 };

/* A lock that somebody holds is one more server that may be away. */
static int database_set_up(const struct config *config, PGconn *conn, struct err *err)
{
	char ms[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(ms, config->connect_wait_ms + 1) }; /* 0: for ever */

	return pg_exec(conn, sql_session, 1, params, NULL, err);
}

int database_open(const struct config *config, PGconn **ret_conn, struct err *err)
{
	int64_t deadline_ms = clock_ms() + config->connect_wait_ms;
	int64_t pause_ms = DATABASE_PAUSE_MS;

	while (pg_open(config->postgres, BATCH_PROGRAM, DATABASE_TRY_MS, ret_conn, err)) {
		if (batch_stop_asked())
			return batch_stopped(err);
		if (err->code != ERR_DATABASE || clock_ms() + pause_ms >= deadline_ms)
			return -1;
		log_warn("%s; trying again in %" PRId64 " ms", err->msg, pause_ms);
		batch_sleep_ms(pause_ms);
		pause_ms = pause_ms * 2 < DATABASE_PAUSE_MAX_MS ? pause_ms * 2 : DATABASE_PAUSE_MAX_MS;
	}
	return database_set_up(config, *ret_conn, err);
}

int database_ensure(const struct config *config, PGconn **conn, bool *ret_another, struct err *err)
{
	if (*conn && !database_lost(*conn)) {
		PGresult *result = PQexec(*conn, ""); /* finds out whether the other side is still there */

		PQclear(result);
	}
	*ret_another = !*conn || database_lost(*conn);
	if (!*ret_another)
		return 0;
	if (*conn)
		log_warn("the connection to postgres was lost; opening another one");
	pg_close(conn);
	return database_open(config, conn, err);
}

void database_close(PGconn **conn)
{
	struct err err;

	if (*conn && !database_lost(*conn) && pg_exec(*conn, sql_unlock, 0, NULL, NULL, &err))
		log_debug("%s", err.msg);
	pg_close(conn);
}

bool database_lost(const PGconn *conn)
{
	return PQstatus(conn) != CONNECTION_OK;
}

const char *database_number(char buf[DATABASE_NUMBER_MAX], int64_t number)
{
	snprintf(buf, DATABASE_NUMBER_MAX, "%" PRId64, number);
	return buf;
}
