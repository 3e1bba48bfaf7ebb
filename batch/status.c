/* lambda-batch status: what is published, the newest runs, and what is running. */
#include "common/base.h"
#include "batch/batch.h"

#include "batch/database.h"
#include "embedded.h"

#define STATUS_RUNS_TEXT "20"

static int status_width(const PGresult *result, int column)
{
	int width = (int)strlen(PQfname(result, column));

	for (int i = 0; i < PQntuples(result); i++)
		if (PQgetlength(result, i, column) > width)
			width = PQgetlength(result, i, column);
	return width;
}

/* The last column is a note, on a line of its own. */
static void status_table(const PGresult *result)
{
	int note = PQnfields(result) - 1;

	for (int i = -1; i < PQntuples(result); i++) {
		for (int column = 0; column < note; column++)
			printf("%s%-*s", column ? "  " : "", status_width(result, column),
				i < 0 ? PQfname(result, column) : PQgetvalue(result, i, column));
		putchar('\n');
		if (i >= 0 && *PQgetvalue(result, i, note))
			printf("    %s\n", PQgetvalue(result, i, note));
	}
}

static int status_words(PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *published = NULL, *runs = NULL;
	const char *const params[] = { STATUS_RUNS_TEXT };

	if (pg_exec(conn, sql_status_published, 0, NULL, &published, err) ||
		pg_exec(conn, sql_status_table, 1, params, &runs, err))
		return -1;
	puts(PQntuples(published) ? PQgetvalue(published, 0, 0) : "nothing is published yet");
	if (PQntuples(runs))
		status_table(runs);
	return 0;
}

static int status_json(PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *runs = NULL;
	const char *const params[] = { NULL, NULL, STATUS_RUNS_TEXT, "true" };
	const char *published = "null";

	if (pg_exec(conn, sql_run_reports, 4, params, &runs, err))
		return -1;
	for (int i = 0; i < PQntuples(runs); i++)
		if (*PQgetvalue(runs, i, 2) == 't')
			published = PQgetvalue(runs, i, 0);
	printf("{\"published\":%s,\"runs\":[", published);
	for (int i = 0; i < PQntuples(runs); i++)
		printf("%s%s", i ? "," : "", PQgetvalue(runs, i, 5));
	puts("]}");
	return 0;
}

int status(const struct config *config, struct err *err)
{
	PGconn *conn = NULL;
	int failed = database_open(config, &conn, err) || pg_schema_check(conn, err) ||
		     (config->json ? status_json(conn, err) : status_words(conn, err));

	if (!failed && (fflush(stdout) || ferror(stdout)))
		failed = err_set(err, ERR_IO, "cannot write the status");
	pg_close(&conn);
	return failed ? -1 : 0;
}
