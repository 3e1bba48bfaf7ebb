/* lambda-batch prune: the rows of old runs go. Happy path: each run that is not needed is marked, in a
 * transaction that sees that it is not published; then its tables are detached, so that whoever reads does
 * not wait, and dropped; then the ids that no run needs are deleted. Failure modes:
 * - a reader of long standing holds up the detaching: it is tried again until connect_wait is over, then
 * ERR_BUSY. What is marked stays so, the next prune goes on there
 * - a kill, a connection that breaks: the same
 * - a user who does not own the tables: ERR_DATABASE, as with migrate */
#include "common/base.h"
#include "batch/batch.h"

#include "batch/database.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "embedded.h"

enum { PRUNE_PAUSE_MS = 300 };

static int prune_mark(PGconn *conn, int64_t run, struct err *err)
{
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, run) };
	struct err ignored;

	if (!pg_exec(conn, "BEGIN", 0, NULL, NULL, err) &&
		!pg_exec(conn, sql_run_claim, 1, params, NULL, err) &&
		!pg_exec(conn, sql_prune_mark, 1, params, NULL, err) &&
		!pg_exec(conn, "COMMIT", 0, NULL, NULL, err))
		return 0;
	if (pg_exec(conn, "ROLLBACK", 0, NULL, NULL, &ignored))
		log_debug("%s", ignored.msg);
	return -1;
}

static int prune_mark_all(const struct config *config, PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, config->keep) };

	if (pg_exec(conn, sql_prune_runs, 1, params, &result, err))
		return -1;
	for (int i = 0; i < PQntuples(result); i++)
		if (prune_mark(conn, pg_number(result, i, 0), err))
			return -1;
	log_info("%d runs are not needed any more", PQntuples(result));
	return 0;
}

/* 1: there is no table left; 0: one step is done; -1 */
static int prune_step(PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;

	if (pg_exec(conn, sql_prune_step, 0, NULL, &result, err))
		return -1;
	if (!PQntuples(result))
		return 1;
	FAILPOINT("prune.step");
	return pg_exec(conn, PQgetvalue(result, 0, 0), 0, NULL, NULL, err);
}

static int prune_tables(const struct config *config, PGconn *conn, struct err *err)
{
	int64_t deadline_ms = clock_ms() + config->connect_wait_ms;
	int status;

	while ((status = prune_step(conn, err)) < 1) {
		if (batch_stop_asked())
			return batch_stopped(err);
		if (!status) {
			deadline_ms = clock_ms() + config->connect_wait_ms;
			continue;
		}
		if (err->code != ERR_BUSY)
			return -1;
		if (clock_ms() >= deadline_ms)
			return err_wrap(err, "a reader holds up pruning; run it again later");
		batch_sleep_ms(PRUNE_PAUSE_MS);
	}
	return 0;
}

static int prune_ids(PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *lock = NULL;
	SCOPED(pg_result_free) PGresult *swept = NULL;

	if (pg_exec(conn, sql_lock_sweep, 0, NULL, &lock, err))
		return -1;
	if (*PQgetvalue(lock, 0, 0) != 't') {
		log_info("a run, or another prune, is at the ids: what is not needed of them any more is "
			 "left to "
			 "the next prune");
		return 0;
	}
	if (pg_exec(conn, sql_ids_sweep, 0, NULL, &swept, err))
		return -1;
	log_info("%" PRId64 " blocks of ids (%" PRId64 " MiB) were not needed any more",
		pg_number(swept, 0, 0), pg_number(swept, 0, 1) >> 20);
	return 0;
}

int prune(const struct config *config, struct err *err)
{
	PGconn *conn = NULL;
	int failed = database_open(config, &conn, err) || pg_schema_check(conn, err) ||
		     prune_mark_all(config, conn, err) ||
		     pg_exec(conn, "SET lock_timeout = '1s'", 0, NULL, NULL, err) ||
		     prune_tables(config, conn, err) || prune_ids(conn, err);

	database_close(&conn);
	return failed ? -1 : 0;
}
