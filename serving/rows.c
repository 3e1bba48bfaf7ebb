#include "common/base.h"
#include "serving/rows.h"

#include "common/mem.h"
#include "embedded.h"
#include "serving/container.h"
#include "serving/segments.h"

struct rows_load {
	struct rows *rows;
	struct waiter *waiter; /* borrowed until it is told */
	struct snapshot *snapshot; /* one reference */
	struct pg_link_call call;
	char run[24];
};

/* $1 is the run, $2 the customer if the route has one. NULL: the route is not answered here. */
static const char *rows_sql(enum question_route route)
{
	return route == QUESTION_SEGMENTS  ? sql_serving_segments
	       : route == QUESTION_PROFILE ? sql_serving_profile
					   : NULL;
}

bool rows_knows(enum question_route route)
{
	return rows_sql(route) != NULL;
}

static struct body *rows_render(const struct rows_load *load, const PGresult *result, struct problem *problem)
{
	const struct question *question = &load->waiter->question;

	return question->route == QUESTION_SEGMENTS
		       ? segments_render(result, load->snapshot, question, problem)
		       : segments_render_profile(result, load->snapshot, question, problem);
}

static void rows_finish(struct rows_load *load, const PGresult *result, struct problem *problem)
{
	struct waiter *waiter = load->waiter;
	struct body *body = NULL;

	if (result)
		body = rows_render(load, result, problem);
	load->rows->n_loads--;
	snapshot_unref(load->snapshot);
	free(load);
	waiter->done(waiter, body, problem);
}

static void rows_on_result(struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct rows_load *load = CONTAINER_OF(call, struct rows_load, call);
	struct problem problem;

	if (failed)
		problem_set(&problem, 503, "the batch view cannot be asked for this now");
	rows_finish(load, failed ? NULL : result, &problem);
}

void rows_ask(struct rows *rows, struct waiter *waiter)
{
	struct problem problem;
	struct rows_load *load;
	struct err err;

	if (rows->n_loads >= ROWS_MAX) {
		problem_set(&problem, 503, "too many ask for this at a time; try again in a second");
		waiter->done(waiter, NULL, &problem);
		return;
	}
	load = xcalloc(1, sizeof(*load));
	load->rows = rows;
	load->waiter = waiter;
	load->snapshot = snapshot_ref(rows->live->snapshot);
	rows->n_loads++;
	snprintf(load->run, sizeof(load->run), "%" PRId64, load->snapshot->picture->batch->run);
	load->call = (struct pg_link_call){ .done = rows_on_result,
		.sql = rows_sql(waiter->question.route),
		.n_params = waiter->question.customer[0] ? 2 : 1,
		.params = { load->run, waiter->question.customer } };
	if (pg_link_send(rows->link, &load->call, &err)) {
		problem_set(&problem, 503, "the batch view cannot be asked for this now");
		rows_finish(load, NULL, &problem);
	}
}

int rows_open(struct rows *rows, uv_loop_t *loop, struct live *live, struct err *err)
{
	rows->live = live;
	return pg_link_open(loop, live->config->postgres, "rows", NULL, &rows->link, err);
}

void rows_close(struct rows *rows)
{
	if (!rows->link)
		return;
	pg_link_close(rows->link);
	rows->link = NULL;
	assert(!rows->n_loads); /* the link has told all of them */
}
