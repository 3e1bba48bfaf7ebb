/* See commands.h. A promotion and a prune lock the pointer first, so that they come one after the other. */
#include "common/base.h"
#include "speed/commands.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/kernel/plant.h"
#include "common/pg.h"
#include "embedded.h"

enum {
	COMMANDS_CONNECT_MS = 10000,
	COMMANDS_NEAR = 1000, /* offsets: a version that lacks more is not waited for */
	COMMANDS_WAIT_MS = 2000, /* how long the live version is held for the other one to reach it */
};

const char commands_usage[] =
	"[SETTING]... [COMMAND]\n\n"
	"  without a command   reads the log and keeps its sums, until it is stopped\n"
	"  status              Kappa mode: the versions, where they are and when they will have caught up; "
	"--json\n"
	"  promote NAME        Kappa mode: the version becomes live, if it has all that the live one has\n"
	"  rollback            Kappa mode: the version that was live before becomes live again\n"
	"  prune [NAME]...     Kappa mode: removes versions; without a name those that no rollback goes to";

/* --- what there is ----------------------------------------------------------------------------- */

/* Columns of sql/kappa_versions.sql */
enum {
	VERSION_NAME,
	VERSION_ID,
	VERSION_STATE,
	VERSION_AT_WORK,
	VERSION_OFFSETS,
	VERSION_BEHIND,
	VERSION_PER_SECOND,
	VERSION_SILENT_MS, /* null: nobody has ever said anything */
	VERSION_SECONDS_LEFT, /* null: not known */
	VERSION_READS, /* null: nobody is at work */
	VERSION_BUILD,
	VERSION_STARTED,
	VERSION_JSON,
};

static bool commands_is_awake(const PGresult *versions, int row)
{
	return *PQgetvalue(versions, row, VERSION_AT_WORK) == 't';
}

static int commands_find(const PGresult *versions, const char *name, int *ret_row, struct err *err)
{
	for (int row = 0; row < PQntuples(versions); row++) {
		if (strcmp(PQgetvalue(versions, row, VERSION_NAME), name) != 0)
			continue;
		*ret_row = row;
		return 0;
	}
	return err_set(
		err, ERR_USAGE, "there is no version '%s'; hint: 'lambda-speed status' lists them", name);
}

static void commands_duration(int64_t ms, char buf[32])
{
	int64_t s = ms / 1000;

	if (s < 120)
		snprintf(buf, 32, "%" PRId64 " s", s);
	else if (s < 120 * 60)
		snprintf(buf, 32, "%" PRId64 " min", s / 60);
	else
		snprintf(buf, 32, "%" PRId64 " h", s / 3600);
}

static void commands_print(const PGresult *versions, int row)
{
	char silent[32] = "never", eta[32] = "-";

	if (!PQgetisnull(versions, row, VERSION_SILENT_MS))
		commands_duration(pg_number(versions, row, VERSION_SILENT_MS), silent);
	if (!PQgetisnull(versions, row, VERSION_SECONDS_LEFT) &&
		*PQgetvalue(versions, row, VERSION_BEHIND) != '0')
		commands_duration(1000 * pg_number(versions, row, VERSION_SECONDS_LEFT), eta);
	printf("%-12s %-8s %14s %12s %10s %8s %8s  %-7s  %-24s  %s\n",
		PQgetvalue(versions, row, VERSION_NAME), PQgetvalue(versions, row, VERSION_STATE),
		PQgetvalue(versions, row, VERSION_OFFSETS), PQgetvalue(versions, row, VERSION_BEHIND),
		PQgetvalue(versions, row, VERSION_PER_SECOND), eta, silent,
		*PQgetvalue(versions, row, VERSION_READS) ? PQgetvalue(versions, row, VERSION_READS) : "-",
		PQgetvalue(versions, row, VERSION_STARTED), PQgetvalue(versions, row, VERSION_BUILD));
}

static void commands_print_json(const PGresult *versions)
{
	printf("{\"versions\":[");
	for (int row = 0; row < PQntuples(versions); row++)
		printf("%s%s", row ? "," : "", PQgetvalue(versions, row, VERSION_JSON));
	printf("]}\n");
}

static int commands_status(PGconn *conn, const struct config *config, struct err *err)
{
	SCOPED(pg_result_free) PGresult *versions = NULL;

	if (pg_exec(conn, sql_kappa_versions, 0, NULL, &versions, err))
		return -1;
	if (config->json) {
		commands_print_json(versions);
		return 0;
	}
	printf("%-12s %-8s %14s %12s %10s %8s %8s  %-7s  %-24s  %s\n", "VERSION", "STATE", "OFFSETS",
		"BEHIND", "PER_SECOND", "ETA", "SILENT", "READS", "BEGUN", "BUILD");
	for (int row = 0; row < PQntuples(versions); row++)
		commands_print(versions, row);
	return 0;
}

/* --- another version becomes live -------------------------------------------------------------- */

struct commands_live {
	char id[24], name[80], previous[24], previous_name[80];
};

static int commands_lock_live(PGconn *conn, struct commands_live *ret_live, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;

	if (pg_exec(conn, sql_kappa_live, 0, NULL, &result, err))
		return -1;
	FAILPOINT("kappa.locked");
	if (!PQntuples(result))
		return err_set(err, ERR_USAGE,
			"no version is live; hint: 'lambda-speed --store=postgres' begins the first one");
	snprintf(ret_live->id, sizeof(ret_live->id), "%s", PQgetvalue(result, 0, 0));
	snprintf(ret_live->name, sizeof(ret_live->name), "%s", PQgetvalue(result, 0, 1));
	snprintf(ret_live->previous, sizeof(ret_live->previous), "%s", PQgetvalue(result, 0, 2));
	snprintf(ret_live->previous_name, sizeof(ret_live->previous_name), "%s", PQgetvalue(result, 0, 3));
	return 0;
}

static int commands_behind(PGconn *conn, const char *id, const char *than, int64_t *ret_offsets,
	int64_t *ret_partitions, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;

	if (pg_exec(conn, sql_kappa_behind, 2, (const char *const[]){ id, than }, &result, err))
		return -1;
	*ret_offsets = pg_number(result, 0, 0);
	*ret_partitions = pg_number(result, 0, 1);
	return 0;
}

/* Holds the live version and gives the other one a moment to reach it: both follow the log, so neither is
 * ahead for long. *ret_offsets: what it lacks even so. */
static int commands_reach(PGconn *conn, const char *id, const char *live, int64_t *ret_offsets,
	int64_t *ret_partitions, struct err *err)
{
	int64_t until_ms;

	if (commands_behind(conn, id, live, ret_offsets, ret_partitions, err))
		return -1;
	if (*ret_offsets > COMMANDS_NEAR)
		return 0;
	if (pg_exec(conn, sql_kappa_hold, 1, &live, NULL, err))
		return -1;
	FAILPOINT("kappa.held");
	until_ms = clock_ms() + COMMANDS_WAIT_MS;
	do {
		if (commands_behind(conn, id, live, ret_offsets, ret_partitions, err))
			return -1;
		if (*ret_offsets)
			clock_sleep_ms(10);
	} while (*ret_offsets && clock_ms() < until_ms);
	return 0;
}

static int commands_swap(PGconn *conn, const char *id, const char *kind, struct err *err)
{
	const char *const params[] = { id, kind };

	if (pg_exec(conn, sql_kappa_promote, ARRAY_SIZE(params), params, NULL, err))
		return -1;
	FAILPOINT("kappa.swapped");
	if (pg_exec(conn, "COMMIT", 0, NULL, NULL, err))
		return -1;
	FAILPOINT("kappa.promoted");
	return 0;
}

static int commands_promote(PGconn *conn, const struct config *config, struct err *err)
{
	char **names = config->args + 1;
	int n_names = config->n_args - 1;
	SCOPED(pg_result_free) PGresult *versions = NULL;
	struct commands_live live;
	int64_t offsets, partitions;
	const char *id;
	int row;

	if (n_names != 1)
		return err_set(err, ERR_USAGE, "promote needs the name of one version");
	if (pg_exec(conn, "BEGIN", 0, NULL, NULL, err) || commands_lock_live(conn, &live, err) ||
		pg_exec(conn, sql_kappa_versions, 0, NULL, &versions, err) ||
		commands_find(versions, names[0], &row, err))
		return -1;
	id = PQgetvalue(versions, row, VERSION_ID);
	if (!strcmp(id, live.id))
		return err_set(err, ERR_USAGE, "version '%s' is live already", names[0]);
	if (commands_reach(conn, id, live.id, &offsets, &partitions, err))
		return -1;
	if (offsets && !PLANTED(PLANT_PROMOTE))
		return err_set(err, ERR_BUSY,
			"version '%s' is behind: it lacks %" PRId64 " offsets, in %" PRId64
			" partition%s, of what '%s' has, so it is not promoted; hint: 'lambda-speed status' "
			"says when "
			"it will be there",
			names[0], offsets, partitions, partitions == 1 ? "" : "s", live.name);
	if (commands_swap(conn, id, "promote", err))
		return -1;
	printf("version %s is live; 'lambda-speed rollback' goes back to %s\n", names[0], live.name);
	return 0;
}

/* Never refused because the other version is behind: whoever goes back has a reason. */
static int commands_rollback(PGconn *conn, const struct config *config, struct err *err)
{
	struct commands_live live;
	int64_t offsets, partitions;

	if (config->n_args > 1)
		return err_set(err, ERR_USAGE, "rollback takes no name: it goes back to the version before");
	if (pg_exec(conn, "BEGIN", 0, NULL, NULL, err) || commands_lock_live(conn, &live, err))
		return -1;
	if (!*live.previous)
		return err_set(err, ERR_USAGE, "there is no version to go back to");
	if (commands_reach(conn, live.previous, live.id, &offsets, &partitions, err) ||
		commands_swap(conn, live.previous, "rollback", err))
		return -1;
	printf("version %s is live again\n", live.previous_name);
	if (offsets)
		printf("it lacks %" PRId64 " offsets of what %s has, until its lambda-speed has read them\n",
			offsets, live.name);
	return 0;
}

/* --- versions go ------------------------------------------------------------------------------- */

static int commands_drop(PGconn *conn, const PGresult *versions, int row, struct err *err)
{
	const char *name = PQgetvalue(versions, row, VERSION_NAME),
		   *id = PQgetvalue(versions, row, VERSION_ID);

	if (!strcmp(PQgetvalue(versions, row, VERSION_STATE), "live"))
		return err_set(err, ERR_USAGE, "version '%s' is live", name);
	if (commands_is_awake(versions, row))
		return err_set(
			err, ERR_BUSY, "version '%s' is worked on; hint: stop its lambda-speed first", name);
	if (pg_exec(conn, sql_kappa_drop, 1, &id, NULL, err))
		return -1;
	FAILPOINT("kappa.dropped");
	printf("version %s is gone\n", name);
	return 0;
}

static int commands_prune(PGconn *conn, const struct config *config, struct err *err)
{
	char **names = config->args + 1;
	int n_names = config->n_args - 1;
	SCOPED(pg_result_free) PGresult *versions = NULL;
	struct commands_live live;
	int row;

	if (pg_exec(conn, "BEGIN", 0, NULL, NULL, err) || commands_lock_live(conn, &live, err) ||
		pg_exec(conn, sql_kappa_versions, 0, NULL, &versions, err))
		return -1;
	for (int i = 0; i < n_names; i++)
		if (commands_find(versions, names[i], &row, err) || commands_drop(conn, versions, row, err))
			return -1;
	for (row = 0; !n_names && row < PQntuples(versions); row++)
		if (!strcmp(PQgetvalue(versions, row, VERSION_STATE), "old") &&
			!commands_is_awake(versions, row) && commands_drop(conn, versions, row, err))
			return -1;
	return pg_exec(conn, "COMMIT", 0, NULL, NULL, err);
}

int commands_run(const struct config *config, struct err *err)
{
	static const struct {
		const char *name;
		int (*run)(PGconn *conn, const struct config *config, struct err *err);
	} commands[] = {
		{ "status", commands_status },
		{ "promote", commands_promote },
		{ "rollback", commands_rollback },
		{ "prune", commands_prune },
	};
	const char *const lock_ms[] = { "10000" };
	SCOPED(pg_close) PGconn *conn = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, config->args[0]) != 0)
			continue;
		if (pg_open(config->postgres, "lambda-speed", COMMANDS_CONNECT_MS, &conn, err) ||
			pg_exec(conn, sql_session, 1, lock_ms, NULL, err) || pg_schema_check(conn, err))
			return -1;
		return commands[i].run(conn, config, err);
	}
	return err_set(err, ERR_USAGE, "there is no command '%s'; hint: --help lists them", config->args[0]);
}
