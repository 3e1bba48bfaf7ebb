#include "common/base.h"
#include "serving/runs.h"

#include "common/kernel/currency.h"
#include "common/mem.h"
#include "embedded.h"
#include "serving/container.h"
#include "serving/render.h"

enum { RUNS_NUMBER_MAX = 24 };

/* A question under way; frees itself when it was answered. */
struct run_question {
	struct runs *runs;
	struct waiter *waiter; /* borrowed until it is told */
	struct pg_link_call call;
	char *versions; /* owned; of a question for the status: JSON, asked for first; or NULL */
	char numbers[3][RUNS_NUMBER_MAX];
};

/* Columns of sql_run_reports. */
enum { REPORT_RUN, REPORT_STATE, REPORT_PUBLISHED, REPORT_AT_WORK, REPORT_WAITS, REPORT_JSON };

static bool report_is(const PGresult *result, int row, int column)
{
	return *PQgetvalue(result, row, column) == 't';
}

/* --- answers --- */

static struct body *answer_runs(const PGresult *result, struct problem *problem)
{
	struct out out;

	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_open(&out, "runs", '[');
	for (int i = 0; i < PQntuples(result); i++)
		out_json(&out, NULL, PQgetvalue(result, i, REPORT_JSON));
	out_close(&out, ']');
	out_close(&out, '}');
	return render_finish(&out, 0, problem);
}

static struct body *answer_run(
	const PGresult *result, const struct question *question, struct problem *problem)
{
	struct out out;

	if (!PQntuples(result)) {
		problem_set(problem, 404, "there is no run %" PRId64 "; see /v1/runs", question->run);
		return NULL;
	}
	out_init(&out, RENDER_MAX_BYTES);
	out_json(&out, NULL, PQgetvalue(result, 0, REPORT_JSON));
	return render_finish(&out, 0, problem);
}

/* The first report for which the column is true, or null. */
static void put_report(struct out *out, const char *key, const PGresult *result, int column)
{
	for (int i = 0; i < PQntuples(result); i++) {
		if (!report_is(result, i, column))
			continue;
		out_json(out, key, PQgetvalue(result, i, REPORT_JSON));
		return;
	}
	out_null(out, key);
}

/* Of the last run that has ended. */
static void put_last(struct out *out, const PGresult *result)
{
	int i = 0;

	while (i < PQntuples(result) && !strcmp(PQgetvalue(result, i, REPORT_STATE), "running"))
		i++;
	if (i < PQntuples(result))
		out_json(out, "last", PQgetvalue(result, i, REPORT_JSON));
	else
		out_null(out, "last");
}

static struct body *answer_status(
	const struct run_question *question, const PGresult *result, struct problem *problem)
{
	const struct live *live = question->runs->live;
	struct question today = {
		.route = QUESTION_DAY, .view = live_view(live), .today = true, .currency = -1
	};
	const struct snapshot *snapshot = live_snapshot(live, today.view);
	struct out out;

	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	put_report(&out, "published", result, REPORT_PUBLISHED);
	put_report(&out, "running", result, REPORT_AT_WORK);
	put_last(&out, result);
	out_open(&out, "waiting", '[');
	for (int i = 0; i < PQntuples(result); i++)
		if (report_is(result, i, REPORT_WAITS))
			out_json(&out, NULL, PQgetvalue(result, i, REPORT_JSON));
	out_close(&out, ']');
	out_json(&out, "versions", question->versions);
	if (snapshot) {
		today.from = today.to = snapshot->today;
		render_provenance(&out, snapshot, &today);
	}
	out_close(&out, '}');
	return render_finish(&out, 0, problem);
}

/* Rows from *row on that are one correction; moves *row behind them. -1: not a currency that we know. */
static int take_correction(const PGresult *result, int *row, struct view_correction *ret_correction)
{
	const char *run = PQgetvalue(result, *row, 0), *day = PQgetvalue(result, *row, 1);
	const char *code = PQgetvalue(result, *row, 2);
	struct view_correction c = { .before_e4 = pg_number(result, *row, 3),
		.after_e4 = pg_number(result, *row, 4) };

	c.key.day = (int32_t)pg_number(result, *row, 1);
	c.key.currency = pg_currency(result, *row, 2);
	for (; *row < PQntuples(result) && !strcmp(PQgetvalue(result, *row, 0), run) &&
		!strcmp(PQgetvalue(result, *row, 1), day) && !strcmp(PQgetvalue(result, *row, 2), code);
		++*row) {
		struct view_cause *cause = &c.causes[c.n_causes];

		if (PQgetisnull(result, *row, 5) || c.n_causes == VIEW_CAUSES_MAX)
			continue;
		snprintf(cause->cause, sizeof(cause->cause), "%s", PQgetvalue(result, *row, 5));
		cause->net_e4 = pg_number(result, *row, 6);
		cause->events = pg_number(result, *row, 7);
		c.n_causes++;
	}
	*ret_correction = c;
	return c.key.currency < 0 ? -1 : 0;
}

static struct body *answer_corrections(const struct runs *runs, const PGresult *result,
	const struct question *question, struct problem *problem)
{
	struct out out;
	int row = 0;

	if (PQntuples(result) > RUNS_CORRECTIONS_MAX) {
		problem_set(problem, 400, "these days have too many corrections; ask for fewer days");
		return NULL;
	}
	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_date(&out, "from", question->from);
	out_date(&out, "to", question->to);
	out_string(&out, "time_zone", runs->live->config->time_zone);
	out_open(&out, "corrections", '[');
	while (row < PQntuples(result)) {
		int64_t run = pg_number(result, row, 0);
		struct view_correction correction;

		if (!take_correction(result, &row, &correction))
			render_correction(&out, &correction, run, true);
	}
	out_close(&out, ']');
	out_close(&out, '}');
	return render_finish(&out, 0, problem);
}

/* --- asking --- */

static void run_question_end(struct run_question *question, struct body *body, const struct problem *problem)
{
	struct waiter *waiter = question->waiter;

	question->runs->n_open--;
	free(question->versions);
	free(question);
	waiter->done(waiter, body, problem);
}

static void run_question_send(struct run_question *question);

/* The first of two answers to a question for the status. */
static void run_question_on_versions(
	struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct run_question *question = CONTAINER_OF(call, struct run_question, call);
	struct problem problem;

	if (failed) {
		problem_set(&problem, 503, "postgres cannot be asked for the status now");
		run_question_end(question, NULL, &problem);
		return;
	}
	question->versions = versions_json(result);
	run_question_send(question);
}

static void run_question_on_result(
	struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct run_question *question = CONTAINER_OF(call, struct run_question, call);
	const struct question *asked = &question->waiter->question;
	struct problem problem = { 0 };
	struct body *body = NULL;

	if (failed)
		problem_set(&problem, 503, "the batch view cannot be asked for its runs now");
	else if (asked->route == QUESTION_RUNS)
		body = answer_runs(result, &problem);
	else if (asked->route == QUESTION_RUN)
		body = answer_run(result, asked, &problem);
	else if (asked->route == QUESTION_STATUS)
		body = answer_status(question, result, &problem);
	else
		body = answer_corrections(question->runs, result, asked, &problem);
	run_question_end(question, body, &problem);
}

static const char *run_question_number(struct run_question *question, int i, int64_t number)
{
	snprintf(question->numbers[i], RUNS_NUMBER_MAX, "%" PRId64, number);
	return question->numbers[i];
}

static void run_question_fill(struct run_question *question)
{
	const struct question *asked = &question->waiter->question;
	struct pg_link_call *call = &question->call;

	*call = (struct pg_link_call){ .done = run_question_on_result };
	if (asked->route == QUESTION_STATUS && !question->versions) {
		call->done = run_question_on_versions;
		call->sql = sql_kappa_versions;
		return;
	}
	if (asked->route == QUESTION_CORRECTIONS) {
		call->sql = sql_serving_run_corrections;
		call->n_params = 4;
		call->params[0] = run_question_number(question, 0, asked->from);
		call->params[1] = run_question_number(question, 1, asked->to);
		call->params[2] = asked->currency < 0 ? NULL : currency_code(asked->currency);
		call->params[3] = run_question_number(question, 2, RUNS_CORRECTIONS_MAX + 1);
		return;
	}
	call->sql = sql_run_reports;
	call->n_params = 4;
	call->params[3] = asked->route == QUESTION_STATUS ? "true" : "false";
	call->params[0] = asked->route == QUESTION_RUN ? run_question_number(question, 0, asked->run) : NULL;
	call->params[1] = asked->route == QUESTION_RUNS && asked->run
				  ? run_question_number(question, 1, asked->run)
				  : NULL;
	call->params[2] = run_question_number(
		question, 2, asked->route == QUESTION_STATUS ? RUNS_STATUS_MAX : asked->limit);
}

static void run_question_send(struct run_question *question)
{
	struct problem problem;
	struct err err;

	run_question_fill(question);
	if (pg_link_send(question->runs->link, &question->call, &err)) {
		problem_set(&problem, 503, "the batch view cannot be asked for its runs now");
		run_question_end(question, NULL, &problem);
	}
}

void runs_ask(struct runs *runs, struct waiter *waiter)
{
	struct run_question *question;
	struct problem problem;

	if (runs->n_open == RUNS_MAX) {
		problem_set(&problem, 503, "too many runs are asked for at a time; try again in a second");
		waiter->done(waiter, NULL, &problem);
		return;
	}
	question = xcalloc(1, sizeof(*question));
	question->runs = runs;
	question->waiter = waiter;
	runs->n_open++;
	run_question_send(question);
}

/* --- figures --- */

static void runs_on_versions(struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct runs *runs = CONTAINER_OF(call, struct runs, call_versions);

	runs->asking_versions = false;
	if (!failed)
		versions_take(&runs->versions, result);
}

static void runs_on_figures(struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct runs *runs = CONTAINER_OF(call, struct runs, call);
	struct runs_figures figures = { .known = true };

	runs->asking = false;
	if (failed || !PQntuples(result))
		return;
	snprintf(figures.state, sizeof(figures.state), "%s", PQgetvalue(result, 0, 1));
	for (int i = 0, column = 0; i < RUNS_N_FIGURES; i++, column++) {
		column += column == 1; /* the state, which is no number */
		figures.values[i] = PQgetisnull(result, 0, column) ? -1 : pg_number(result, 0, column);
	}
	runs->figures = figures;
}

static void runs_on_timer(uv_timer_t *timer)
{
	struct runs *runs = timer->data;
	struct err err;

	if (!runs->asking) {
		runs->call = (struct pg_link_call){ .done = runs_on_figures, .sql = sql_serving_run_figures };
		runs->asking = !pg_link_send(runs->link, &runs->call, &err);
	}
	if (!runs->asking_versions) {
		runs->call_versions =
			(struct pg_link_call){ .done = runs_on_versions, .sql = sql_kappa_versions };
		runs->asking_versions = !pg_link_send(runs->link, &runs->call_versions, &err);
	}
}

int runs_open(struct runs *runs, uv_loop_t *loop, struct live *live, struct err *err)
{
	runs->live = live;
	if (pg_link_open(loop, live->config->postgres, "runs", NULL, &runs->link, err))
		return -1;
	uv_timer_init(loop, &runs->timer);
	runs->timer.data = runs;
	uv_timer_start(&runs->timer, runs_on_timer, 500, RUNS_FIGURES_MS);
	return 0;
}

void runs_close(struct runs *runs)
{
	if (!runs->link)
		return;
	pg_link_close(runs->link);
	runs->link = NULL;
	uv_close((uv_handle_t *)&runs->timer, NULL);
}

void runs_release(struct runs *runs)
{
	versions_release(&runs->versions);
}
