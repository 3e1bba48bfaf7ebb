/* lambda-batch run: everything anew from the whole log, then one transaction that makes it the answer, or
 * keeps it for publish when it should not be published unseen. With --dry-run neither, and nothing is written
 * anywhere. docs/batch.md has the steps and the failure modes. Whatever happens before that transaction, also
 * a kill, leaves the published run as it was. */
#include "common/base.h"
#include "batch/batch.h"

#include "batch/change.h"
#include "batch/corrections.h"
#include "batch/database.h"
#include "batch/history.h"
#include "batch/plausible.h"
#include "batch/progress.h"
#include "batch/publish.h"
#include "batch/replay.h"
#include "batch/result.h"
#include "batch/seal.h"
#include "batch/store.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"

struct run {
	const struct config *config;
	PGconn *lock; /* holds the lock of a run; also for the run's row */
	PGconn *work; /* tables and publishing */
	struct pg_published base;
	struct replay *replay; /* NULL: everything anew */
	int64_t run;
	int64_t cut_time_ms, started_ms;
	int64_t publication;
	char fold[FOLD_VERSION_MAX];
	struct history history;
	struct progress progress;
	struct ledger ledger;
	bool answered; /* somebody may have been answered for what the run covers */
	struct result result;
	struct table corrections; /* struct correction */
	int64_t copy_ms, publish_ms;
	const char
		*waits; /* the state in which it is kept instead of being published; NULL: it is published */
	char why[PLAUSIBLE_WHY_MAX];
	int64_t base_records, base_rejected;
};

/* --- lock and row --- */

static int run_take_lock(PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;

	if (pg_exec(conn, sql_lock_run, 0, NULL, &result, err))
		return -1;
	if (PQgetvalue(result, 0, 0)[0] != 't')
		return err_set(err, ERR_BUSY,
			"another run is at work; hint: see lambda.runs, it shows its progress");
	return 0;
}

static int run_open(struct run *run, struct err *err)
{
	run->started_ms = clock_ms();
	fold_version(&run->config->rules, run->fold);
	if (database_open(run->config, &run->lock, err) || pg_schema_check(run->lock, err))
		return -1;
	if (!run->config->dry_run &&
		(run_take_lock(run->lock, err) || pg_exec(run->lock, sql_run_fail_stale, 0, NULL, NULL, err)))
		return -1;
	return database_open(run->config, &run->work, err);
}

/* A session that was lost took the lock with it. */
static int run_keep_lock(struct run *run, struct err *err)
{
	bool another;

	if (database_ensure(run->config, &run->lock, &another, err))
		return -1;
	if (!another || run->config->dry_run)
		return 0;
	run->progress.conn = run->lock;
	return run_take_lock(run->lock, err);
}

/* An older program would take back what a newer one has corrected. */
static int run_check_kernel(const struct run *run, struct err *err)
{
	if (!run->base.publication || fold_version_kernel(run->base.fold_version) <= KERNEL_VERSION)
		return 0;
	return err_set(err, ERR_DATA,
		"the published run %" PRId64 " was made by a newer kernel ('%s'), this program has %d; "
		"hint: use the newer program",
		run->base.run, run->base.fold_version, KERNEL_VERSION);
}

static int run_insert(struct run *run, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char publication[DATABASE_NUMBER_MAX], base_run[DATABASE_NUMBER_MAX], replay_of[DATABASE_NUMBER_MAX];

	if (pg_published_load(run->lock, &run->base, err) || run_check_kernel(run, err) ||
		(run->replay && replay_find(run->replay, run->config, run->lock, &run->base, err)))
		return -1;
	if (run->config->dry_run) {
		progress_start(&run->progress, NULL, 0);
		return 0;
	}
	if (pg_exec(run->lock, sql_run_insert, 6,
		    (const char *const[]){ build_id, run->fold, run->config->calendar.zone,
			    database_number(publication, run->base.publication),
			    database_number(base_run, run->base.run),
			    run->replay ? database_number(replay_of, run->replay->run) : NULL },
		    &result, err))
		return -1;
	if (!PQntuples(result))
		return err_set(err, ERR_SUPERSEDED, "run %" PRId64 " was pruned meanwhile; hint: once more",
			run->replay->run);
	run->run = pg_number(result, 0, 0);
	FAILPOINT("run.inserted");
	progress_start(&run->progress, run->lock, run->run);
	log_info("run %" PRId64 " starts; published is %s%" PRId64, run->run,
		run->base.publication ? "run " : "nothing, run ", run->base.run);
	return 0;
}

/* The run's row says how it ended; as well as can be. */
static void run_end_row(struct run *run, const struct err *why)
{
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, run->run),
		why->code == ERR_SUPERSEDED ? "superseded" : "failed", why->msg };
	struct err err;

	if (run->run && run->lock && pg_exec(run->lock, sql_run_end, 3, params, NULL, &err))
		log_warn("%s; ignoring, the next run will mark this one failed", err.msg);
}

/* --- steps --- */

static struct seal run_seal(struct run *run)
{
	return (struct seal){ .config = run->config,
		.run = run->run,
		.base_run = run->base.run,
		.log = run->history.log.identity,
		.fold = run->fold,
		.base_fold = run->base.fold_version,
		.parts = run->history.parts,
		.n_parts = run->history.n_parts,
		.without_kafka = run->history.archive_only };
}

static bool run_sealed(const struct run *run)
{
	bool sealed = true;

	for (int i = 0; i < run->history.n_parts; i++)
		sealed &= run->history.parts[i].sealed;
	return sealed;
}

/* Of a dry run: the log as it is now. What speed said is not asked, its rules stand for it. */
static void run_cut_unsealed(struct run *run)
{
	for (int i = 0; i < run->history.n_parts; i++)
		run->history.parts[i].cut = run->history.parts[i].end_at_start;
	run->answered = run->base.publication;
}

static int run_cut(struct run *run, struct err *err)
{
	SCOPED(xfreep) char *lost = NULL;
	char number[2][DATABASE_NUMBER_MAX];
	struct seal seal;

	run->cut_time_ms = clock_wall_ms();
	if (history_open(&run->history, run->config, &run->base, err) ||
		(run->replay && replay_mark(run->replay, run->config, &run->history, err)) ||
		history_check_holes(&run->history, run->config, &run->base, err))
		return -1;
	if (run->config->dry_run) {
		run_cut_unsealed(run);
		return 0;
	}
	seal = run_seal(run);
	FAILPOINT("run.before_seal");
	if (seal_take_cut(&seal, &run->ledger, &run->answered, err) ||
		history_check_ahead(&run->history, run->config, err))
		return -1;
	FAILPOINT("run.sealed");
	log_info("the log is %s, %d partitions; the cut is %s", run->history.log.identity,
		run->history.n_parts, run_sealed(run) ? "sealed" : "not sealed in every partition");
	if (run_keep_lock(run, err))
		return -1;
	lost = ranges_text(&run->history.lost);
	return pg_exec(run->lock, sql_run_cut, 6,
		(const char *const[]){ database_number(number[0], run->run), run->history.log.identity,
			database_number(number[1], run->cut_time_ms), run_sealed(run) ? "true" : "false",
			run->history.truncated ? "true" : "false", lost },
		NULL, err);
}

/* The stored answers of a run go to the ledger. */
static int run_load_days(struct run *run, int64_t stored, enum ledger_kind kind, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, stored) };

	if (pg_exec(run->work, sql_run_days, 1, params, &result, err))
		return -1;
	for (int i = 0; i < PQntuples(result); i++) {
		struct ledger_key key = { (int32_t)pg_number(result, i, 0), pg_currency(result, i, 1),
			(int32_t)kind, 0 };

		if (key.currency < 0)
			return err_set(err, ERR_DATA,
				"run %" PRId64 " has amounts in '%s', which this program does not know",
				stored, PQgetvalue(result, i, 1));
		if (ledger_add(&run->ledger, key, pg_number(result, i, 2), pg_number(result, i, 3), err))
			return -1;
	}
	return 0;
}

/* What was read of other runs is all there was if they are there still. A --dry-run has no row that prune
 * would see. */
static int run_check_pruned(struct run *run, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[2][DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number[0], run->base.run),
		run->replay ? database_number(number[1], run->replay->run) : NULL };

	if (pg_exec(run->work, sql_run_pruned, 2, params, &result, err))
		return -1;
	if (PQntuples(result))
		return err_set(err, ERR_SUPERSEDED, "run %" PRId64 " was pruned meanwhile; hint: once more",
			pg_number(result, 0, 0));
	return 0;
}

static int run_load_base(struct run *run, struct err *err)
{
	SCOPED(pg_result_free) PGresult *figures = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, run->base.run) };
	bool another;

	if (!run->base.publication)
		return 0;
	if (database_ensure(run->config, &run->work, &another, err) ||
		pg_exec(run->work, sql_run_figures, 1, params, &figures, err) ||
		run_load_days(run, run->base.run, LEDGER_BASE_STORED, err))
		return -1;
	run->base_records = pg_number(figures, 0, 0);
	run->base_rejected = pg_number(figures, 0, 1);
	if (run->replay && (run_load_days(run, run->replay->run, LEDGER_BASE_AGAIN, err) ||
				   run_load_days(run, run->replay->run, LEDGER_AFTER, err)))
		return -1;
	return run_check_pruned(run, err);
}

/* What the run that is replayed had counted comes to it. The log below its cut must be what it was. */
static int run_add_known(struct run *run, struct err *err)
{
	const struct counters *known = &run->replay->counters, *found = &run->result.known;

	if (found->records != known->records || found->counted != known->counted + known->duplicate)
		return err_set(err, ERR_DATA,
			"run %" PRId64 " had %" PRId64 " records, %" PRId64
			" of them valid; now there are %" PRId64 " and %" PRId64
			": a replay cannot go on from it; hint: lambda-batch run",
			run->replay->run, known->records, known->counted + known->duplicate, found->records,
			found->counted);
	counters_add(&run->result.counters, known);
	return 0;
}

static char *run_rejected_json(const struct counters *counters)
{
	char *json = xstrdup("");

	for (int i = EVENT_OK + 1; i < EVENT_N_REJECTS; i++) {
		SCOPED(xfreep) char *before = json;

		json = xasprintf("%s%s\"%s\":%" PRId64, before, *before ? "," : "{",
			event_reject_code((enum event_reject)i), counters->rejected[i]);
	}
	return json;
}

static int run_counts(struct run *run, struct err *err)
{
	const struct counters *c = &run->result.counters;
	int64_t customers_from_ms = run->result.customers_from_ms;
	char n[7][DATABASE_NUMBER_MAX];
	SCOPED(xfreep) char *reasons = run_rejected_json(c);
	SCOPED(xfreep) char *json = xasprintf("%s}", reasons);

	if (run->config->dry_run)
		return 0;
	return pg_exec(run->lock, sql_run_counts, 8,
		(const char *const[]){ database_number(n[0], run->run), database_number(n[1], c->records),
			database_number(n[2], c->counted), database_number(n[3], c->duplicate),
			database_number(n[4], counters_rejected(c)), database_number(n[5], c->late), json,
			customers_from_ms == TALLY_NO_CUSTOMERS ? NULL
								: database_number(n[6], customers_from_ms) },
		NULL, err);
}

static int run_correct(struct run *run, struct err *err)
{
	int n_parts = run->history.n_parts;
	SCOPED(xfreep) struct correction_speed *speed = xcalloc((size_t)n_parts, sizeof(*speed));

	if (!run->answered) /* nobody was told anything, so there is nothing to correct */
		return 0;
	for (int i = 0; i < n_parts; i++)
		speed[i] = (struct correction_speed){ run->history.parts[i].speed_known,
			run->history.parts[i].speed_other_fold };
	return corrections_make(&run->ledger, speed, n_parts, &run->corrections, err);
}

static int run_result(struct run *run, struct err *err)
{
	return result_compute(&run->result, run->config, &run->history, run->answered, run->replay,
		run->cut_time_ms, &run->ledger, &run->progress, err);
}

/* Kept ids that are wrong cost time, and nothing else. */
static int run_count(struct run *run, struct err *err)
{
	if (!run_result(run, err))
		return 0;
	if (!run->replay || !run->replay->ids_wrong)
		return -1;
	if (replay_without_ids(run->replay, &run->history, err))
		return -1;
	return run_result(run, err);
}

static int run_compute(struct run *run, struct err *err)
{
	if (run_load_base(run, err) ||
		(run->replay &&
			replay_collect(run->replay, run->config, &run->history, &run->progress, err)) ||
		run_count(run, err) || (run->replay && run_add_known(run, err)))
		return -1;
	FAILPOINT("run.computed");
	if (run_correct(run, err) || run_keep_lock(run, err) || run_counts(run, err))
		return -1;
	return 0;
}

static void run_check_plausible(struct run *run)
{
	const struct plausible plausible = { .ledger = &run->ledger,
		.corrections = &run->corrections,
		.counters = &run->result.counters,
		.base_records = run->base_records,
		.base_rejected = run->base_rejected,
		.max_change = run->config->max_change,
		.shorter = run->history.truncated || run->history.lost.n };

	if (*run->result.wrong)
		snprintf(run->why, sizeof(run->why), "%s", run->result.wrong);
	else if (!run->base.publication || run->replay || plausible_check(&plausible, run->why))
		return; /* who replays knows that numbers change */
	run->waits = "quarantined";
}

/* What an operator has taken back, the same program would publish again. */
static int run_check_rollback(struct run *run, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	const char *const params[] = { run->fold };
	int64_t taken_back;

	if (pg_exec(run->lock, sql_run_waits, 1, params, &result, err))
		return -1;
	taken_back = pg_number(result, 0, 0);
	if (!taken_back || run->waits)
		return 0;
	run->waits = "built";
	snprintf(run->why, sizeof(run->why), "run %" PRId64 " of the same fold version was rolled back",
		taken_back);
	return 0;
}

static int run_check(struct run *run, struct err *err)
{
	run_check_plausible(run);
	return run_check_rollback(run, err);
}

static int run_publish(struct run *run, struct err *err)
{
	const struct publish publish = { .config = run->config,
		.run = run->run,
		.base_publication = run->base.publication,
		.kind = run->waits    ? NULL
			: run->replay ? "replay"
				      : "run",
		.state = run->waits,
		.message = run->why,
		.parts = run->history.parts,
		.n_parts = run->history.n_parts,
		.corrections = &run->corrections };
	int64_t started_ms = clock_ms();
	struct seal seal = run_seal(run);

	if (store_result(run->config, &run->work, run->run, &run->result, run->replay ? run->replay->run : 0,
		    &run->progress, err) ||
		run_keep_lock(run, err))
		return -1;
	FAILPOINT("run.stored");
	run->copy_ms = clock_ms() - started_ms;
	started_ms = clock_ms();
	if (publish_run(&publish, &run->work, &run->publication, err))
		return -1;
	FAILPOINT("run.published");
	run->publish_ms = clock_ms() - started_ms;
	if (run->waits)
		return 0;
	seal_adopt(&seal, run->publication);
	FAILPOINT("run.adopted");
	return 0;
}

/* --- report --- */

static void run_report_corrections(const struct run *run)
{
	int64_t unexplained = 0;

	for (size_t i = 0; i < run->corrections.n; i++) {
		const struct correction *c = table_at(&run->corrections, i);

		unexplained += c->net_e4[CORRECTION_UNEXPLAINED] != 0;
	}
	if (run->corrections.n)
		log_info("%zu corrections of a day and currency, see lambda.corrections", run->corrections.n);
	if (unexplained)
		log_warn("%" PRId64
			 " of them are unexplained: what speed answered is not what its rules give; see "
			 "lambda.correction_causes",
			unexplained);
}

static void run_report(const struct run *run)
{
	const struct counters *c = &run->result.counters;
	int64_t all_ms = clock_ms() - run->started_ms;
	int64_t work_ms = run->result.read_ms + run->result.fold_ms;

	run_report_corrections(run);
	if (run->publication)
		log_info("run %" PRId64 " is published as publication %" PRId64, run->run, run->publication);
	log_info("%" PRId64 " records = %" PRId64 " counted + %" PRId64 " duplicate + %" PRId64
		 " rejected; %" PRId64 " late",
		c->records, c->counted, c->duplicate, counters_rejected(c), c->late);
	if (run->result.ids_bytes)
		log_info("%" PRId64 " records of them are known by their ids (%" PRId64
			 " KiB), and were not read",
			run->result.known.records, run->result.ids_bytes >> 10);
	log_info("%" PRId64 " events/s; reading %" PRId64 " ms, folding %" PRId64 " ms (%" PRId64
		 " MiB spilled), copying %" PRId64 " ms, publishing %" PRId64 " ms; all in all %" PRId64
		 " ms",
		c->records * 1000 / (work_ms > 0 ? work_ms : 1), run->result.read_ms, run->result.fold_ms,
		run->result.spilled_bytes >> 20, run->copy_ms, run->publish_ms, all_ms);
}

static int run_say_waits(const struct run *run, struct err *err)
{
	if (run->config->dry_run)
		return err_set(err, ERR_DATA, "the run would be %s, not published: %s", run->waits, run->why);
	return err_set(err, ERR_DATA,
		"run %" PRId64 " is %s, not published: %s; hint: look at it (lambda-batch status), then "
		"lambda-batch publish %" PRId64 " if it is right",
		run->run, run->waits, run->why, run->run);
}

static void run_close(struct run *run)
{
	result_release(&run->result);
	history_release(&run->history);
	ledger_release(&run->ledger);
	table_release(&run->corrections);
	pg_published_release(&run->base);
	pg_close(&run->work);
	database_close(&run->lock); /* and with it the lock */
}

static int run_with(const struct config *config, struct replay *replay, struct err *err)
{
	struct run run = { .config = config, .replay = replay };
	int failed;

	ledger_init(&run.ledger);
	failed = run_open(&run, err) || run_insert(&run, err) || run_cut(&run, err) ||
		 run_compute(&run, err) || run_check(&run, err) ||
		 (config->dry_run ? change_print(stdout, &run.ledger, &run.corrections, err)
				  : run_publish(&run, err));
	if (failed)
		run_end_row(&run, err);
	else
		run_report(&run);
	if (!failed && run.waits)
		failed = run_say_waits(&run, err);
	run_close(&run);
	return failed ? -1 : 0;
}

int run(const struct config *config, struct err *err)
{
	return run_with(config, NULL, err);
}

int replay(const struct config *config, struct err *err)
{
	struct replay from = { 0 };
	int failed = run_with(config, &from, err);

	replay_release(&from);
	return failed;
}
