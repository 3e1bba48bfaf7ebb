/* lambda-batch rollback and publish: the pointer moves to a run that is complete, as the next publication;
 * then Redis is told, as after a run. Happy path: see what is published, look whether the run may be, move,
 * adopt. Failure modes:
 * - the run may not be published: ERR_DATA, nothing has changed
 * - something else is published meanwhile, by a run or by another hand: ERR_SUPERSEDED, nothing has changed;
 * a run at work that started from what was published before ends so too
 * - a kill after the commit, Redis away: speed finds out by itself what is published */
#include "common/base.h"
#include "batch/batch.h"

#include "batch/database.h"
#include "batch/publish.h"
#include "batch/seal.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"

struct move {
	const struct config *config;
	PGconn *conn;
	struct pg_published before, after;
	int64_t run;
	char state[16];
};

/* The argument RUN, or 0 when there is none. */
static int move_argument(const struct config *config, int64_t *ret_run, struct err *err)
{
	const char *text = config->n_args > 1 ? config->args[1] : "";
	size_t len = strlen(text);

	*ret_run = 0;
	if (config->n_args < 2)
		return 0;
	if (!len || len > 15 || strspn(text, "0123456789") != len || text[0] == '0')
		return err_set(
			err, ERR_USAGE, "'%s' is no number of a run; hint: see lambda-batch status", text);
	*ret_run = strtoll(text, NULL, 10);
	return 0;
}

static int move_open(struct move *move, struct err *err)
{
	if (move_argument(move->config, &move->run, err) || database_open(move->config, &move->conn, err) ||
		pg_schema_check(move->conn, err) || pg_published_load(move->conn, &move->before, err))
		return -1;
	if (move->before.run && move->before.run == move->run)
		return err_set(err, ERR_DATA, "run %" PRId64 " is published already", move->run);
	return 0;
}

/* Is it there, of this log, and by rules that this program and its like know? */
static int move_check(struct move *move, int64_t *ret_base_run, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, move->run) }, *fold, *log, *zone;

	if (pg_exec(move->conn, sql_move_run, 1, params, &result, err))
		return -1;
	if (!PQntuples(result))
		return err_set(err, ERR_DATA, "there is no run %" PRId64 "; hint: see lambda-batch status",
			move->run);
	snprintf(move->state, sizeof(move->state), "%s", PQgetvalue(result, 0, 0));
	fold = PQgetvalue(result, 0, 1);
	log = PQgetvalue(result, 0, 2);
	zone = PQgetvalue(result, 0, 3);
	if (strcmp(move->state, "published") && strcmp(move->state, "built") &&
		strcmp(move->state, "quarantined"))
		return err_set(err, ERR_DATA, "run %" PRId64 " is '%s': it has no result to publish%s%.200s",
			move->run, move->state, *PQgetvalue(result, 0, 5) ? "; its message: " : "",
			PQgetvalue(result, 0, 5));
	if (move->before.publication && strcmp(log, move->before.log))
		return err_set(err, ERR_DATA,
			"run %" PRId64 " is of another log ('%s') than the published run ('%s')", move->run,
			log, move->before.log);
	if (strcmp(zone, move->config->calendar.zone))
		return err_set(err, ERR_DATA,
			"run %" PRId64 " was made for time zone '%s', but --time-zone is '%s'; hint: all "
			"three programs need the same",
			move->run, zone, move->config->calendar.zone);
	if (fold_version_kernel(fold) > KERNEL_VERSION)
		return err_set(err, ERR_DATA,
			"run %" PRId64 " was made by a newer kernel ('%s'), this program has %d; hint: use "
			"the newer program",
			move->run, fold, KERNEL_VERSION);
	*ret_base_run = pg_number(result, 0, 4);
	return 0;
}

/* Redis is told what is published now: ours, or something later. */
static void move_adopt(struct move *move, struct err *err)
{
	struct pg_published *after = &move->after;
	SCOPED(xfreep) struct part *parts = NULL;
	char fold[FOLD_VERSION_MAX];
	struct seal seal = { .config = move->config, .fold = fold };

	if (pg_published_load(move->conn, after, err)) {
		log_warn("%s; speed will find out by itself what is published", err->msg);
		return;
	}
	fold_version(&move->config->rules, fold);
	parts = xcalloc((size_t)after->n_cuts, sizeof(*parts));
	for (int i = 0; i < after->n_cuts; i++) {
		const struct pg_cut *cut = &after->cuts[i];

		parts[i] = (struct part){ .partition = i,
			.cut = cut->next_offset,
			.state = { cut->latest_event_ms, cut->latest_record_ms } };
		if (tail_parse(cut->tail, &parts[i].tail))
			tail_init(&parts[i].tail);
	}
	seal.run = after->run;
	seal.log = after->log;
	seal.parts = parts;
	seal.n_parts = after->n_cuts;
	seal_adopt(&seal, after->publication);
}

static int move_to(struct move *move, const char *kind, struct err *err)
{
	const struct publish publish = { .config = move->config,
		.run = move->run,
		.base_publication = move->before.publication,
		.kind = kind };
	int64_t publication = 0;

	if (publish_run(&publish, &move->conn, &publication, err))
		return -1;
	FAILPOINT("move.published");
	log_info("run %" PRId64 " is published as publication %" PRId64 ", instead of run %" PRId64,
		move->run, publication, move->before.run);
	move_adopt(move, err);
	FAILPOINT("move.adopted");
	return 0;
}

static int move_close(struct move *move, int failed)
{
	pg_published_release(&move->before);
	pg_published_release(&move->after);
	pg_close(&move->conn);
	return failed;
}

/* --- rollback --- */

static int rollback_find(struct move *move, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, move->before.run) };

	if (!move->before.publication)
		return err_set(err, ERR_DATA, "nothing is published");
	if (move->run)
		return 0;
	if (pg_exec(move->conn, sql_move_older, 1, params, &result, err))
		return -1;
	move->run = pg_number(result, 0, 0);
	if (!move->run)
		return err_set(err, ERR_DATA,
			"there is no older run than %" PRId64 ", which is published, that has been published",
			move->before.run);
	return 0;
}

static int rollback_check(struct move *move, struct err *err)
{
	int64_t base_run;

	if (rollback_find(move, err) || move_check(move, &base_run, err))
		return -1;
	if (move->run > move->before.run)
		return err_set(err, ERR_DATA,
			"run %" PRId64 " is newer than the published run %" PRId64
			"; hint: lambda-batch publish %" PRId64,
			move->run, move->before.run, move->run);
	if (strcmp(move->state, "published"))
		return err_set(err, ERR_DATA,
			"run %" PRId64 " is '%s' and never was published: there is nothing to go back to",
			move->run, move->state);
	return 0;
}

int rollback(const struct config *config, struct err *err)
{
	struct move move = { .config = config };

	return move_close(&move,
		move_open(&move, err) || rollback_check(&move, err) || move_to(&move, "rollback", err) ? -1
												       : 0);
}

/* --- publish --- */

/* A run's corrections say what it changes in the answers of its base: so that must be what is answered now.
 * One that was published before may come back after a rollback in any case. */
static int publish_check(struct move *move, struct err *err)
{
	int64_t base_run;

	if (!move->run)
		return err_set(err, ERR_USAGE, "publish: which run? hint: lambda-batch publish RUN");
	if (move_check(move, &base_run, err))
		return -1;
	if (move->run < move->before.run)
		return err_set(err, ERR_DATA, "run %" PRId64 " is older than the published run %" PRId64 "%s",
			move->run, move->before.run,
			strcmp(move->state, "published") ? ""
							 : "; hint: lambda-batch rollback RUN goes back");
	if (strcmp(move->state, "published") && base_run != move->before.run)
		return err_set(err, ERR_DATA,
			"run %" PRId64 " corrects run %" PRId64 ", but run %" PRId64
			" is published; hint: lambda-batch run",
			move->run, base_run, move->before.run);
	return 0;
}

int publish_by_hand(const struct config *config, struct err *err)
{
	struct move move = { .config = config };

	return move_close(&move,
		move_open(&move, err) || publish_check(&move, err) || move_to(&move, "publish", err) ? -1
												     : 0);
}
