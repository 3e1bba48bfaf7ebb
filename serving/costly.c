#include "common/base.h"
#include "serving/costly.h"

static struct waiter *costly_take(struct costly *costly)
{
	struct waiter *waiter = costly->first;

	costly->first = waiter->next;
	if (!costly->first)
		costly->end = &costly->first;
	return waiter;
}

static bool costly_is_of_runs(enum question_route route)
{
	return route == QUESTION_CORRECTIONS || route == QUESTION_RUNS || route == QUESTION_RUN ||
	       route == QUESTION_STATUS;
}

static void costly_answer(struct costly *costly, struct waiter *waiter)
{
	struct body *body = NULL;
	struct snapshot *snapshot = live_snapshot(costly->live, waiter->question.view);
	struct problem problem;
	bool waits = false;

	if (!waiter->gone && snapshot && waiter->question.route == QUESTION_CUSTOMER) {
		customers_ask(costly->customers, waiter);
		return;
	}
	if (!waiter->gone && rows_knows(waiter->question.route)) {
		rows_ask(costly->rows, waiter);
		return;
	}
	if (!waiter->gone && costly_is_of_runs(waiter->question.route)) {
		runs_ask(costly->runs, waiter);
		return;
	}
	if (waiter->gone)
		problem_set(&problem, 503, "nobody waits for this any more");
	else if (!snapshot) /* it was there when this was asked */
		live_explain(costly->live, waiter->question.view, &problem);
	else if (body_bytes_alive() > COSTLY_BODIES_MAX_BYTES)
		problem_set(&problem, 503, "too many large answers are being sent; try again in a second");
	else if (waiter->question.route == QUESTION_PRODUCTS)
		body = products_ask(costly->products, waiter, &waits, &problem);
	else
		body = snapshot_answer(snapshot, &waiter->question, &problem);
	if (!waits)
		waiter->done(waiter, body, &problem);
}

static void costly_on_idle(uv_idle_t *idle)
{
	struct costly *costly = idle->data;
	uint64_t end = uv_hrtime() + COSTLY_TURN_NS;

	do
		costly_answer(costly, costly_take(costly));
	while (costly->first && uv_hrtime() < end);
	if (!costly->first)
		uv_idle_stop(idle);
}

void costly_ask(struct costly *costly, struct waiter *waiter)
{
	waiter->next = NULL;
	*costly->end = waiter;
	costly->end = &waiter->next;
	uv_idle_start(&costly->idle, costly_on_idle);
}

void costly_open(struct costly *costly, uv_loop_t *loop, struct live *live, struct products *products,
	struct customers *customers, struct rows *rows, struct runs *runs)
{
	costly->live = live;
	costly->products = products;
	costly->customers = customers;
	costly->rows = rows;
	costly->runs = runs;
	costly->end = &costly->first;
	uv_idle_init(loop, &costly->idle);
	costly->idle.data = costly;
	costly->opened = true;
}

void costly_close(struct costly *costly)
{
	struct problem problem;

	if (!costly->opened)
		return;
	problem_set(&problem, 503, "stopping");
	while (costly->first) {
		struct waiter *waiter = costly_take(costly);

		waiter->done(waiter, NULL, &problem);
	}
	uv_close((uv_handle_t *)&costly->idle, NULL);
	costly->opened = false;
}
