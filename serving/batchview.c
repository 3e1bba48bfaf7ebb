#include "common/base.h"
#include "serving/batchview.h"

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"
#include "serving/container.h"

static void batchview_on_result(struct pg_link_call *call, const PGresult *result, const struct err *err);

static void batchview_ask(
	struct batchview *batchview, enum batchview_step step, const char *sql, int n_params)
{
	struct err err = { 0 };

	batchview->call.done = batchview_on_result;
	batchview->call.sql = sql;
	batchview->call.n_params = n_params;
	batchview->call.params[0] = batchview->run_text;
	batchview->step = pg_link_send(batchview->link, &batchview->call, &err) ? BATCHVIEW_IDLE : step;
	if (batchview->step == BATCHVIEW_IDLE) {
		batch_view_unref(batchview->loading);
		batchview->loading = NULL;
	}
}

static void batchview_poll(struct batchview *batchview)
{
	if (batchview->step == BATCHVIEW_IDLE)
		batchview_ask(batchview, BATCHVIEW_POINTER, sql_serving_published, 0);
	else
		batchview->again = true;
}

/* Ends a round. */
static void batchview_settle(struct batchview *batchview, const struct err *err)
{
	batchview->step = BATCHVIEW_IDLE;
	batch_view_unref(batchview->loading);
	batchview->loading = NULL;
	if (err) {
		if (err->code == ERR_STOPPED || pg_link_is_away(batchview->link))
			return;
		if (strcmp(err->msg, batchview->trouble.msg) != 0)
			log_warn("the batch view cannot be loaded, retrying: %s", err->msg);
		batchview->trouble = *err;
		return;
	}
	if (batchview->trouble.code)
		log_info("the batch view can be loaded again");
	batchview->trouble = (struct err){ 0 };
	batchview->last_ok_ms = (int64_t)uv_now(batchview->timer.loop);
	if (batchview->again) {
		batchview->again = false;
		batchview_poll(batchview);
	}
}

static void batchview_publish(struct batchview *batchview)
{
	struct batch_view *view = batchview->loading;

	FAILPOINT("view.loaded");
	batchview->loading = NULL;
	if (batchview->n_views == BATCHVIEW_KEPT)
		batch_view_unref(batchview->views[--batchview->n_views]);
	for (size_t i = batchview->n_views++; i > 0; i--)
		batchview->views[i] = batchview->views[i - 1];
	batchview->views[0] = view;
	if (view->publication)
		log_info("publication %" PRId64 ": run %" PRId64
			 "%s, %zu days and currencies, %zu corrections",
			view->publication, view->run, view->rollback ? " (rollback)" : "", view->days.n,
			view->n_corrections);
	else
		log_info("nothing is published yet");
	batchview_settle(batchview, NULL);
	batchview->on_change(batchview->data);
}

static int take_pointer(struct batchview *batchview, const PGresult *result, struct err *err)
{
	struct batch_view *view = batch_view_new();
	const char *zone;

	batchview->loading = view;
	if (!PQntuples(result))
		return 0;
	view->publication = pg_number(result, 0, 0);
	view->run = pg_number(result, 0, 1);
	view->rollback = !strcmp(PQgetvalue(result, 0, 2), "rollback");
	view->taken_back = pg_number(result, 0, 9);
	view->published_ms = pg_number(result, 0, 3);
	view->cut_time_ms = PQgetisnull(result, 0, 4) ? DATETIME_NONE : pg_number(result, 0, 4);
	view->truncated = *PQgetvalue(result, 0, 5) == 't';
	if (ranges_parse(&view->lost, PQgetvalue(result, 0, 10)))
		return err_set(err, ERR_DATA, "the lost ranges of run %" PRId64 " are damaged: '%s'",
			view->run, PQgetvalue(result, 0, 10));
	view->replay_of = pg_number(result, 0, 11);
	batchview->loading_counted = PQgetisnull(result, 0, 6) ? -1 : pg_number(result, 0, 6);
	snprintf(batchview->run_text, sizeof(batchview->run_text), "%" PRId64, view->run);
	if (!PQgetisnull(result, 0, 8))
		view->customers_from_ms = pg_number(result, 0, 8);
	zone = PQgetvalue(result, 0, 7);
	if (strcmp(zone, batchview->config->time_zone) != 0)
		return err_set(err, ERR_DATA,
			"run %" PRId64 " was made for time zone '%s', but --time-zone is '%s'; "
			"hint: all three programs need the same",
			view->run, zone, batchview->config->time_zone);
	return 0;
}

static int take_cuts(struct batchview *batchview, const PGresult *result, struct err *err)
{
	struct batch_view *view = batchview->loading;
	int n = PQntuples(result);
	int64_t last = n ? pg_number(result, n - 1, 0) : -1;

	if (last >= 1 << 20)
		return err_set(
			err, ERR_DATA, "run %" PRId64 " has a cut of partition %" PRId64, view->run, last);
	view->n_cuts = (int)last + 1;
	view->cuts = xcalloc((size_t)view->n_cuts, sizeof(*view->cuts));
	for (int i = 0; i < view->n_cuts; i++)
		view->cuts[i] = (struct view_cut){ -1, DATETIME_NONE };
	for (int i = 0; i < n; i++) {
		struct view_cut *cut = &view->cuts[pg_number(result, i, 0)];

		cut->next = pg_number(result, i, 1);
		cut->latest_event_ms = PQgetisnull(result, i, 2) ? DATETIME_NONE : pg_number(result, i, 2);
	}
	return 0;
}

static int take_key(const PGresult *result, int row, struct view_day_key *ret_key, struct err *err)
{
	ret_key->day = (int32_t)pg_number(result, row, 0);
	ret_key->currency = pg_currency(result, row, 1);
	if (ret_key->currency < 0)
		return err_set(err, ERR_DATA, "the run holds currency '%s', which this build does not know",
			PQgetvalue(result, row, 1));
	return 0;
}

/* The days must hold all that the run counted: a run that was pruned half must not look like days without
 * orders. */
static int take_days(struct batchview *batchview, const PGresult *result, struct err *err)
{
	struct batch_view *view = batchview->loading;
	int64_t counted = 0;

	for (int i = 0; i < PQntuples(result); i++) {
		struct view_day_key key;
		struct revenue revenue = {
			.gross_e4 = pg_number(result, i, 2),
			.refunds_e4 = pg_number(result, i, 3),
			.orders = pg_number(result, i, 4),
			.refund_count = pg_number(result, i, 5),
			.units = pg_number(result, i, 6),
		};

		if (take_key(result, i, &key, err))
			return -1;
		if (view_days_add(&view->days, key, &revenue))
			return err_set(err, ERR_DATA, "a sum of the run does not fit 64 bits");
		counted += revenue.orders + revenue.refund_count;
	}
	if (batchview->loading_counted >= 0 && counted != batchview->loading_counted)
		return err_set(err, ERR_DATA,
			"run %" PRId64 " counted %" PRId64 " events, but its days hold %" PRId64, view->run,
			batchview->loading_counted, counted);
	return 0;
}

static int take_late(struct batchview *batchview, const PGresult *result, struct err *err)
{
	for (int i = 0; i < PQntuples(result); i++) {
		struct late_day late = { .events = pg_number(result, i, 2),
			.net_e4 = pg_number(result, i, 3),
			.worst_ms = pg_number(result, i, 4) };
		struct view_day_key key;

		if (take_key(result, i, &key, err))
			return -1;
		late.key = (struct late_key){ key.day, key.currency };
		if (view_late_add(&batchview->loading->late, &late))
			return err_set(err, ERR_DATA, "a sum of the run does not fit 64 bits");
	}
	return 0;
}

static int take_corrections(struct batchview *batchview, const PGresult *result, struct err *err)
{
	struct batch_view *view = batchview->loading;
	struct view_correction *last = NULL;

	view->corrections = xcalloc((size_t)PQntuples(result), sizeof(*view->corrections));
	for (int i = 0; i < PQntuples(result); i++) {
		struct view_day_key key;
		struct view_cause *cause;

		if (take_key(result, i, &key, err))
			return -1;
		if (!last || last->key.day != key.day || last->key.currency != key.currency) {
			last = &view->corrections[view->n_corrections++];
			last->key = key;
			last->before_e4 = pg_number(result, i, 2);
			last->after_e4 = pg_number(result, i, 3);
		}
		if (PQgetisnull(result, i, 4) || last->n_causes == VIEW_CAUSES_MAX)
			continue;
		cause = &last->causes[last->n_causes++];
		snprintf(cause->cause, sizeof(cause->cause), "%s", PQgetvalue(result, i, 4));
		cause->net_e4 = pg_number(result, i, 5);
		cause->events = pg_number(result, i, 6);
	}
	return 0;
}

static void after_pointer(struct batchview *batchview)
{
	if (batchview->n_views && batchview->views[0]->publication == batchview->loading->publication)
		batchview_settle(batchview, NULL);
	else if (!batchview->loading->publication)
		batchview_publish(batchview);
	else
		batchview_ask(batchview, BATCHVIEW_CUTS, sql_serving_cuts, 1);
}

static void batchview_on_result(struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct batchview *batchview = CONTAINER_OF(call, struct batchview, call);
	struct err err = { 0 };

	if (failed) {
		batchview_settle(batchview, failed);
		return;
	}
	switch (batchview->step) {
	case BATCHVIEW_POINTER:
		if (!take_pointer(batchview, result, &err))
			after_pointer(batchview);
		break;
	case BATCHVIEW_CUTS:
		if (!take_cuts(batchview, result, &err))
			batchview_ask(batchview, BATCHVIEW_DAYS, sql_serving_days, 1);
		break;
	case BATCHVIEW_DAYS:
		if (!take_days(batchview, result, &err))
			batchview_ask(batchview, BATCHVIEW_LATE, sql_serving_late, 1);
		break;
	case BATCHVIEW_LATE:
		if (!take_late(batchview, result, &err))
			batchview_ask(batchview, BATCHVIEW_CORRECTIONS, sql_serving_corrections, 1);
		break;
	case BATCHVIEW_CORRECTIONS:
		if (!take_corrections(batchview, result, &err))
			batchview_publish(batchview);
		break;
	case BATCHVIEW_IDLE:
		assert(false && "a result that nobody waits for");
	}
	if (err.code)
		batchview_settle(batchview, &err);
}

static void batchview_on_listening(struct pg_link_call *call, const PGresult *result, const struct err *err)
{
	(void)call;
	(void)result;
	(void)err; /* the poll once a second finds out anyway */
}

static void batchview_on_up(void *data)
{
	struct batchview *batchview = data;
	struct err err = { 0 };

	batchview->listen.done = batchview_on_listening;
	batchview->listen.sql = sql_serving_listen;
	if (!pg_link_send(batchview->link, &batchview->listen, &err))
		batchview_poll(batchview);
}

static void batchview_on_notify(void *data)
{
	batchview_poll(data);
}

static void batchview_on_timer(uv_timer_t *timer)
{
	batchview_poll(timer->data);
}

int batchview_open(struct batchview *batchview, uv_loop_t *loop, const struct config *config,
	void (*on_change)(void *data), void *data, struct err *err)
{
	struct pg_link_events events = { batchview_on_up, batchview_on_notify, batchview, false };

	batchview->config = config;
	batchview->on_change = on_change;
	batchview->data = data;
	if (pg_link_open(loop, config->postgres, "batch view", &events, &batchview->link, err))
		return -1;
	uv_timer_init(loop, &batchview->timer);
	batchview->timer.data = batchview;
	uv_timer_start(&batchview->timer, batchview_on_timer, BATCHVIEW_POLL_MS, BATCHVIEW_POLL_MS);
	return 0;
}

const char *batchview_trouble(const struct batchview *batchview)
{
	const char *refusal = pg_link_refusal(batchview->link);

	if (refusal)
		return refusal;
	if (pg_link_is_away(batchview->link))
		return "postgres cannot be asked; see the log";
	return batchview->trouble.code ? batchview->trouble.msg : NULL;
}

void batchview_close(struct batchview *batchview)
{
	if (!batchview->link)
		return;
	pg_link_close(batchview->link);
	batchview->link = NULL;
	uv_close((uv_handle_t *)&batchview->timer, NULL);
	while (batchview->n_views)
		batch_view_unref(batchview->views[--batchview->n_views]);
}
