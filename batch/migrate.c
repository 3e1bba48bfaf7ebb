/* lambda-batch migrate: brings the database's schema to what this program was made with. Repeatable; one at a
 * time; each migration is one transaction that waits for a lock only briefly, so that running programs do not
 * queue up behind it. Failure modes:
 * - another migrate is at work: waits for it for connect_wait, then exit 75
 * - a table is in use: tries again until connect_wait is over, then exit 75; what was applied stays applied
 * - the schema is newer: refuses, for an older program must not touch it
 * - the server is away: tries again until connect_wait is over, then exit 69 */
#include "common/base.h"
#include "batch/batch.h"

#include "batch/database.h"
#include "common/log.h"
#include "embedded.h"

enum { MIGRATE_PAUSE_MS = 500 };

static void migrate_on_notice(void *arg, const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	(void)arg;
	if (severity && !strcmp(severity, "NOTICE") && state &&
		strncmp(state, "42", 2)) /* 42...: "exists already, skipping" */
		log_info("%s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

static int migrate_apply(PGconn *conn, const struct migration *migration, struct err *err)
{
	char version[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(version, migration->version), migration->name };
	struct err ignored;

	if (!pg_exec(conn, "BEGIN; SET LOCAL lock_timeout = '2s'", 0, NULL, NULL, err) &&
		!pg_exec(conn, migration->sql, 0, NULL, NULL, err) &&
		!pg_exec(conn, sql_migrations_add, 2, params, NULL, err) &&
		!pg_exec(conn, "COMMIT", 0, NULL, NULL, err)) {
		log_info("applied %s", migration->name);
		return 0;
	}
	if (pg_exec(conn, "ROLLBACK", 0, NULL, NULL, &ignored))
		log_debug("%s", ignored.msg);
	return err_wrap(err, "migration %s", migration->name);
}

static int migrate_apply_patiently(
	PGconn *conn, const struct migration *migration, int64_t deadline_ms, struct err *err)
{
	while (migrate_apply(conn, migration, err)) {
		if (batch_stop_asked())
			return batch_stopped(err);
		if (err->code != ERR_BUSY || clock_ms() >= deadline_ms)
			return -1;
		log_warn("%s; trying again", err->msg);
		batch_sleep_ms(MIGRATE_PAUSE_MS);
	}
	return 0;
}

static int migrate_lock(PGconn *conn, struct err *err)
{
	if (pg_exec(conn, sql_lock_migrate, 0, NULL, NULL, err))
		return err_wrap(err, "another migrate is at work");
	return 0;
}

int migrate(const struct config *config, struct err *err)
{
	SCOPED(pg_close) PGconn *conn = NULL;
	SCOPED(pg_result_free) PGresult *result = NULL;
	int64_t deadline_ms = clock_ms() + config->connect_wait_ms;
	int64_t version;

	if (database_open(config, &conn, err))
		return -1;
	PQsetNoticeReceiver(conn, migrate_on_notice, NULL);
	if (migrate_lock(conn, err) || pg_exec(conn, sql_migrations_table, 0, NULL, NULL, err) ||
		pg_exec(conn, sql_migrations_version, 0, NULL, &result, err))
		return -1;
	version = pg_number(result, 0, 0);
	if (version > n_sql_migrations)
		return err_set(err, ERR_DATA,
			"the database's schema has version %" PRId64 ", this program only knows %d; "
			"hint: use the newer program that migrated it",
			version, n_sql_migrations);
	for (int i = (int)version; i < n_sql_migrations; i++)
		if (migrate_apply_patiently(conn, &sql_migrations[i], deadline_ms, err))
			return -1;
	log_info("the schema has version %d%s", n_sql_migrations,
		version == n_sql_migrations ? ", as it had" : "");
	return 0;
}
