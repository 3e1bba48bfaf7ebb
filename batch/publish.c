/* Happy path: claim the run's row, lock the pointer, see that it is still where the run started from, attach
 * the tables, write cuts, corrections, publication and pointer, notify, commit. Failure modes:
 * - the pointer has moved, or another run took this one for dead: ERR_SUPERSEDED
 * - a lock is not to be had: rolled back, tried again; readers never queue up behind us for more than
 *   lock_timeout
 * - the connection breaks before COMMIT: tried again
 * - it breaks during COMMIT, so that the outcome is unknown: we connect again and look; the look waits for
 * the old transaction, so its answer is final
 * - a kill before COMMIT: nothing happened. After it: the run is published, speed adopts it by itself
 * A run that waits goes the same way, but leaves the pointer. One that is complete, to which the pointer
 * moves by hand, has its tables, cuts and corrections in their place. */
#include "common/base.h"
#include "batch/publish.h"

#include "batch/batch.h"
#include "batch/database.h"
#include "common/failpoint.h"
#include "common/kernel/currency.h"
#include "common/log.h"
#include "embedded.h"

enum { PUBLISH_PAUSE_MS = 300, PUBLISH_STATE_MAX = 16 };

static const char *publish_time(char buf[DATABASE_NUMBER_MAX], int64_t ms)
{
	return ms == DATETIME_NONE ? NULL : database_number(buf, ms);
}

static int publish_cuts(const struct publish *publish, PGconn *conn, struct err *err)
{
	char n[6][DATABASE_NUMBER_MAX], tail[TAIL_TEXT_MAX];

	for (int i = 0; i < publish->n_parts; i++) {
		const struct part *part = &publish->parts[i];
		const char *const params[] = { database_number(n[0], publish->run),
			database_number(n[1], part->partition), database_number(n[2], part->first),
			database_number(n[3], part->cut), publish_time(n[4], part->state.latest_event_ms),
			publish_time(n[5], part->state.latest_record_ms), tail,
			part->sealed ? "true" : "false", part->ids_kept ? part->ids : NULL };

		tail_format(&part->tail, tail);
		if (pg_exec(conn, sql_publish_cut, 9, params, NULL, err))
			return -1;
	}
	return 0;
}

static int publish_causes(
	const struct publish *publish, PGconn *conn, const struct correction *c, struct err *err)
{
	char n[4][DATABASE_NUMBER_MAX];

	for (int i = 0; i < CORRECTION_N_CAUSES; i++) {
		const char *const params[] = { database_number(n[0], publish->run),
			database_number(n[1], c->day), currency_code(c->currency),
			correction_cause_code((enum correction_cause)i), database_number(n[2], c->net_e4[i]),
			database_number(n[3], c->events[i]) };

		if ((c->net_e4[i] || c->events[i]) && pg_exec(conn, sql_publish_cause, 6, params, NULL, err))
			return -1;
	}
	return 0;
}

static int publish_corrections(const struct publish *publish, PGconn *conn, struct err *err)
{
	char n[4][DATABASE_NUMBER_MAX];

	for (size_t i = 0; i < publish->corrections->n; i++) {
		const struct correction *c = table_at(publish->corrections, i);
		const char *const params[] = { database_number(n[0], publish->run),
			database_number(n[1], c->day), currency_code(c->currency),
			database_number(n[2], c->before_e4), database_number(n[3], c->after_e4) };

		if (pg_exec(conn, sql_publish_correction, 5, params, NULL, err) ||
			publish_causes(publish, conn, c, err))
			return -1;
	}
	return 0;
}

static int publish_state(
	const struct publish *publish, PGconn *conn, char ret_state[PUBLISH_STATE_MAX], struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char run[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(run, publish->run) };

	if (pg_exec(conn, sql_run_claim, 1, params, &result, err))
		return -1;
	snprintf(ret_state, PUBLISH_STATE_MAX, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "gone");
	return 0;
}

/* A run that begins ends those of the dead and drops their tables: from here on it waits for us, or we have
 * been taken for dead and must not attach what it is dropping. So does pruning wait for us, or it was first.
 */
static int publish_claim(const struct publish *publish, PGconn *conn, struct err *err)
{
	char state[PUBLISH_STATE_MAX];

	if (publish_state(publish, conn, state, err))
		return -1;
	if (!publish->parts) {
		if (!strcmp(state, "published") || !strcmp(state, "built") || !strcmp(state, "quarantined"))
			return 0;
		return err_set(err, ERR_SUPERSEDED, "run %" PRId64 " is '%s' by now; nothing was published",
			publish->run, state);
	}
	if (!strcmp(state, "running"))
		return 0;
	return err_set(err, ERR_SUPERSEDED,
		"run %" PRId64 " lost its lock, and another run has marked it '%s'; nothing was published",
		publish->run, state);
}

static int publish_check_base(const struct publish *publish, PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	int64_t publication;

	if (pg_exec(conn, sql_publish_lock, 0, NULL, NULL, err) ||
		pg_exec(conn, sql_publish_base, 0, NULL, &result, err))
		return -1;
	publication = pg_number(result, 0, 0);
	if (publication == publish->base_publication)
		return 0;
	return err_set(err, ERR_SUPERSEDED,
		"run %" PRId64 " started from publication %" PRId64 ", but %" PRId64
		" is published by now; nothing was published",
		publish->run, publish->base_publication, publication);
}

/* The tables become readable, with all that belongs to them. */
static int publish_result(const struct publish *publish, PGconn *conn, struct err *err)
{
	char run[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(run, publish->run) };

	if (pg_exec(conn, sql_run_tables_attach, 1, params, NULL, err) || publish_cuts(publish, conn, err) ||
		publish_corrections(publish, conn, err))
		return -1;
	return 0;
}

/* The last look before the answers come from these rows, by whatever way they got there. */
static int publish_check_rows(const struct publish *publish, PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char run[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(run, publish->run) };
	int64_t counted, held;

	if (pg_exec(conn, sql_publish_check, 1, params, &result, err))
		return -1;
	counted = pg_number(result, 0, 0);
	held = pg_number(result, 0, 1);
	if (counted == held)
		return 0;
	return err_set(err, ERR_DATA,
		"run %" PRId64 " counted %" PRId64 " events, but its days hold %" PRId64
		"; nothing was published; hint: was it changed by hand? lambda-batch run makes it anew",
		publish->run, counted, held);
}

/* All but the COMMIT. */
static int publish_write(const struct publish *publish, PGconn *conn, struct err *err)
{
	char run[DATABASE_NUMBER_MAX], publication[DATABASE_NUMBER_MAX];
	const char *const pointer[] = { database_number(run, publish->run),
		database_number(publication, publish->base_publication + 1), publish->kind };
	const char *const wait[] = { run, publish->state, publish->message };

	if (pg_exec(conn, "BEGIN; SET LOCAL lock_timeout = '1s'", 0, NULL, NULL, err) ||
		publish_claim(publish, conn, err) || publish_check_base(publish, conn, err))
		return -1;
	FAILPOINT("publish.locked");
	if ((publish->parts && publish_result(publish, conn, err)) ||
		(publish->kind && publish_check_rows(publish, conn, err)))
		return -1;
	return publish->kind ? pg_exec(conn, sql_publish_pointer, 3, pointer, NULL, err)
			     : pg_exec(conn, sql_run_hold, 3, wait, NULL, err);
}

/* Was it done? For when the answer to COMMIT was lost. */
static int publish_outcome(const struct publish *publish, PGconn **conn, bool *ret_done, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char state[PUBLISH_STATE_MAX], publication[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(publication, publish->base_publication + 1) };
	bool another;

	if (database_ensure(publish->config, conn, &another, err) ||
		publish_state(publish, *conn, state, err) ||
		pg_exec(*conn, sql_publish_outcome, 1, params, &result, err))
		return err_wrap(err, "run %" PRId64 " may be published or not; 'lambda-batch status' tells",
			publish->run);
	*ret_done = publish->kind ? PQntuples(result) && pg_number(result, 0, 0) == publish->run
				  : !strcmp(state, publish->state);
	return 0;
}

/* 1: done; 0: to be tried again; -1: *err */
static int publish_try(const struct publish *publish, PGconn **conn, struct err *err)
{
	bool done = false, another;
	struct err ignored;

	if (database_ensure(publish->config, conn, &another, err))
		return -1;
	if (!publish_write(publish, *conn, err)) {
		FAILPOINT("publish.before_commit");
		if (!pg_exec(*conn, "COMMIT", 0, NULL, NULL, err))
			return 1;
		if (!database_lost(*conn))
			return -1;
		log_warn("%s; looking whether it was published", err->msg);
		if (publish_outcome(publish, conn, &done, err))
			return -1;
		return done;
	}
	if (database_lost(*conn))
		return 0;
	if (pg_exec(*conn, "ROLLBACK", 0, NULL, NULL, &ignored))
		log_debug("%s", ignored.msg);
	return err->code == ERR_BUSY ? 0 : -1;
}

int publish_run(const struct publish *publish, PGconn **conn, int64_t *ret_publication, struct err *err)
{
	int64_t deadline_ms = clock_ms() + publish->config->connect_wait_ms;
	int status;

	while (!(status = publish_try(publish, conn, err))) {
		if (batch_stop_asked())
			return batch_stopped(err);
		if (clock_ms() >= deadline_ms)
			return err_wrap(err, "cannot publish");
		log_warn("%s; trying again", err->msg);
		batch_sleep_ms(PUBLISH_PAUSE_MS);
	}
	if (status < 0)
		return -1;
	if (publish->kind)
		*ret_publication = publish->base_publication + 1;
	return 0;
}
