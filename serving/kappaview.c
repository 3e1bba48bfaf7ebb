#include "common/base.h"
#include "serving/kappaview.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"
#include "serving/container.h"

static void kappaview_poll(struct kappaview *view);

static int64_t kappaview_time(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? DATETIME_NONE : pg_number(result, row, column);
}

/* --- the copy ---------------------------------------------------------------------------------- */

static void kappaview_forget(struct kappaview *view)
{
	for (int i = 0; i < view->n_partitions; i++) {
		struct speed_generation *gen = view->partitions[i].gens;

		table_release(&gen->days);
		table_release(&gen->duplicates);
		table_release(&gen->late);
		free(gen);
		free(view->partitions[i].lost);
	}
	free(view->partitions);
	view->partitions = NULL;
	view->n_partitions = 0;
}

static struct speed_partition *kappaview_partition(struct kappaview *view, int64_t number)
{
	if (number < 0 || number >= KAPPAVIEW_PARTITIONS_MAX)
		return NULL;
	if (number >= view->n_partitions)
		view->partitions =
			xreallocarray(view->partitions, (size_t)number + 1, sizeof(*view->partitions));
	while (view->n_partitions <= number) {
		struct speed_generation *gen = xcalloc(1, sizeof(*gen));

		table_init(&gen->days, sizeof(struct view_day), sizeof(struct view_day_key));
		table_init(&gen->duplicates, sizeof(struct view_duplicates), sizeof(int32_t));
		table_init(&gen->late, sizeof(struct late_day), sizeof(struct late_key));
		view->partitions[view->n_partitions++] =
			(struct speed_partition){ .gens = gen, .latest_event_ms = DATETIME_NONE };
	}
	return &view->partitions[number];
}

static bool kappaview_has_word(const char *fold_version, const char *word)
{
	return strstr(fold_version, word) != NULL;
}

static void kappaview_take_beat(struct speed_partition *partition, const PGresult *result, int row)
{
	partition->beat = (struct speed_beat){
		.there = true,
		.time_ms = pg_number(result, row, 6),
		.end = pg_number(result, row, 7),
		.next = pg_number(result, row, 8),
		.waiting_ms = kappaview_time(result, row, 9),
		.record_ms = kappaview_time(result, row, 10),
		.held = pg_number(result, row, 11),
		.held_ms = kappaview_time(result, row, 12),
	};
}

static void kappaview_take_lost(struct speed_partition *partition, const PGresult *result, int row)
{
	partition->lost = xreallocarray(partition->lost, partition->n_lost + 1, sizeof(*partition->lost));
	partition->lost[partition->n_lost++] =
		(struct speed_lost){ 0, pg_number(result, row, 6), pg_number(result, row, 7) };
}

/* Rows of a day replace what we have of it. -1: a currency that this build does not know. */
static int kappaview_take_day(struct speed_generation *gen, const PGresult *result, int row, char kind)
{
	struct view_day_key key = { (int32_t)pg_number(result, row, 2), pg_currency(result, row, 3) };
	struct late_key late_key = { key.day, key.currency };
	bool is_new;

	if (kind == 'u') {
		struct view_duplicates *duplicates = table_put(&gen->duplicates, &key.day, &is_new);

		duplicates->n = pg_number(result, row, 6);
	} else if (key.currency < 0) {
		return -1;
	} else if (kind == 'd') {
		struct view_day *day = table_put(&gen->days, &key, &is_new);

		day->revenue = (struct revenue){ pg_number(result, row, 6), pg_number(result, row, 7),
			pg_number(result, row, 8), pg_number(result, row, 9), pg_number(result, row, 10) };
	} else {
		struct late_day *late = table_put(&gen->late, &late_key, &is_new);

		late->events = pg_number(result, row, 6);
		late->net_e4 = pg_number(result, row, 7);
		late->worst_ms = pg_number(result, row, 8);
	}
	return 0;
}

static int kappaview_take_row(struct kappaview *view, const PGresult *result, int row, struct err *err)
{
	char kind = *PQgetvalue(result, row, 0);
	struct speed_partition *partition = kappaview_partition(view, pg_number(result, row, 1));

	if (!partition)
		return err_set(err, ERR_DATA, "version '%s' has a partition %" PRId64, view->version.version,
			pg_number(result, row, 1));
	switch (kind) {
	case 'o':
		partition->there = true;
		partition->n_gens = 1;
		partition->gens->range =
			(struct generation){ 0, pg_number(result, row, 6), pg_number(result, row, 7) };
		partition->latest_event_ms = kappaview_time(result, row, 8);
		partition->excludes_late = view->version.excludes_late;
		partition->n_lost = 0; /* come again */
		view->none->truncated = view->none->truncated || partition->gens->range.start > 0;
		return 0;
	case 'b':
		kappaview_take_beat(partition, result, row);
		return 0;
	case 'r':
		partition->gens->rejected = pg_number(result, row, 6);
		return 0;
	case 'l':
		kappaview_take_lost(partition, result, row);
		return 0;
	default:
		return kappaview_take_day(partition->gens, result, row, kind)
			       ? err_set(err, ERR_DATA,
					 "version '%s' holds currency '%s', which this build does not know",
					 view->version.version, PQgetvalue(result, row, 3))
			       : 0;
	}
}

/* Another version than before, or the same one at an older place (a database that was restored): all anew. */
static bool kappaview_is_other(const struct kappaview *view, const PGresult *result)
{
	if (pg_number(result, 0, 6) != view->version.id)
		return true;
	for (int row = 1; row < PQntuples(result); row++) {
		int64_t partition = pg_number(result, row, 1);

		if (*PQgetvalue(result, row, 0) == 'o' && partition < view->n_partitions &&
			view->partitions[partition].there &&
			pg_number(result, row, 7) < view->partitions[partition].gens->range.next)
			return true;
	}
	return false;
}

/* The first row is the version. */
static int kappaview_take_version(struct kappaview *view, const PGresult *result, struct err *err)
{
	struct picture_kappa version = { .id = pg_number(result, 0, 6),
		.promotion = pg_number(result, 0, 7),
		.promoted_ms = pg_number(result, 0, 8),
		.excludes_late = kappaview_has_word(PQgetvalue(result, 0, 4), ";late=exclude") };
	const char *zone = PQgetvalue(result, 0, 5);

	snprintf(version.version, sizeof(version.version), "%s", PQgetvalue(result, 0, 3));
	if (strcmp(zone, view->config->time_zone) != 0)
		return err_set(err, ERR_DATA,
			"version '%s' was made for time zone '%s', but --time-zone is '%s'", version.version,
			zone, view->config->time_zone);
	if (version.promotion != view->version.promotion) {
		log_info("kappa promotion %" PRId64 ": version %s is live", version.promotion,
			version.version);
		merge_memory_release(&view->memory); /* a declared change may lower coverage */
	}
	view->version = version;
	return 0;
}

/* --- asking ------------------------------------------------------------------------------------ */

static void kappaview_arrays(struct kappaview *view)
{
	struct out partitions, nexts;

	out_init(&partitions, 1 << 20);
	out_init(&nexts, 1 << 20);
	out_raw(&partitions, "{");
	out_raw(&nexts, "{");
	for (int i = 0; i < view->n_partitions; i++) {
		out_raw(&partitions, "%s%d", i ? "," : "", i);
		out_raw(&nexts, "%s%" PRId64, i ? "," : "",
			view->partitions[i].there ? view->partitions[i].gens->range.next : -1);
	}
	out_raw(&partitions, "}");
	out_raw(&nexts, "}");
	free(view->partitions_text);
	free(view->nexts_text);
	view->partitions_text = xstrndup(partitions.buf, partitions.len);
	view->nexts_text = xstrndup(nexts.buf, nexts.len);
	out_release(&partitions);
	out_release(&nexts);
	snprintf(view->id_text, sizeof(view->id_text), "%" PRId64, view->version.id);
}

static void kappaview_drop(struct kappaview *view)
{
	snapshot_unref(view->snapshot);
	view->snapshot = NULL;
}

static void kappaview_render(struct kappaview *view, int64_t now)
{
	struct snapshot_input input = { .wall_ms = clock_wall_ms(), .now_ms = now };

	input.picture = view->memory.shown;
	input.known = view->memory.known;
	input.n_known = view->memory.n_known;
	kappaview_drop(view);
	view->snapshot = snapshot_new(view->rules, &input);
	view->rendered_ms = now;
}

static void kappaview_show(struct kappaview *view, bool changed)
{
	int64_t now = view->last_ok_ms;
	struct picture *picture;

	if (view->snapshot && !changed && now - view->rendered_ms < KAPPAVIEW_RENDER_MS)
		return;
	picture = merge_picture(&view->none, 1, view->partitions, view->n_partitions, true, now);
	if (!picture) {
		err_set(&view->trouble, ERR_DATA, "the sums of version '%s' do not fit 64 bits",
			view->version.version);
		return;
	}
	picture->kappa = view->version;
	merge_show(&view->memory, picture, now, 0);
	kappaview_render(view, now);
}

static int kappaview_take(struct kappaview *view, const PGresult *result, bool *ret_changed, struct err *err)
{
	if (!PQntuples(result)) {
		*ret_changed = view->version.id != 0;
		view->version = (struct picture_kappa){ 0 };
		kappaview_forget(view);
		return 0;
	}
	if (kappaview_is_other(view, result)) {
		bool whole = pg_number(result, 0, 6) != view->version.id;

		kappaview_forget(view);
		batch_view_unref(view->none);
		view->none = batch_view_new();
		if (!whole) { /* what came are changes to what is gone: ask again, for all */
			view->version.id = 0;
			view->again = true;
			return 0;
		}
	}
	if (kappaview_take_version(view, result, err))
		return -1;
	*ret_changed = false;
	for (int row = 1; row < PQntuples(result); row++) {
		char kind = *PQgetvalue(result, row, 0);

		*ret_changed = *ret_changed || kind == 'd' || kind == 'u' || kind == 'a';
		if (kappaview_take_row(view, result, row, err))
			return -1;
	}
	return 0;
}

static void kappaview_fail(struct kappaview *view, const struct err *err)
{
	kappaview_forget(view);
	view->version.id = 0; /* ask for all of it */
	if (strcmp(err->msg, view->trouble.msg) != 0)
		log_warn("the kappa view cannot be loaded, retrying: %s", err->msg);
	view->trouble = *err;
}

static void kappaview_on_result(struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct kappaview *view = CONTAINER_OF(call, struct kappaview, call);
	struct err err = { 0 };
	bool changed = false;

	view->asking = false;
	if (failed) {
		if (failed->code != ERR_STOPPED && !pg_link_is_away(view->link))
			kappaview_fail(view, failed);
		return;
	}
	if (kappaview_take(view, result, &changed, &err)) {
		kappaview_fail(view, &err);
		return;
	}
	if (!view->again || view->version.id) {
		view->trouble = (struct err){ 0 };
		view->last_ok_ms = (int64_t)uv_now(view->timer.loop);
		view->ever = true;
		if (view->version.id)
			kappaview_show(view, changed);
		else
			kappaview_drop(view);
	}
	if (view->again)
		kappaview_poll(view);
}

static void kappaview_poll(struct kappaview *view)
{
	struct err err = { 0 };

	view->again = view->asking;
	if (view->asking)
		return;
	kappaview_arrays(view);
	view->asked_ms = (int64_t)uv_now(view->timer.loop);
	view->call = (struct pg_link_call){ .done = kappaview_on_result,
		.sql = sql_serving_kappa,
		.n_params = 3,
		.params = { view->id_text, view->partitions_text, view->nexts_text } };
	view->asking = !pg_link_send(view->link, &view->call, &err);
}

/* Postgres cannot be asked: what we have grows old, until it is too old. */
static void kappaview_age(struct kappaview *view, int64_t now)
{
	int64_t max_ms = view->config->max_speed_age_ms;

	if (max_ms < SNAPSHOT_STALE_MS)
		max_ms = SNAPSHOT_STALE_MS;
	if (view->snapshot && now - view->last_ok_ms > max_ms)
		kappaview_drop(view);
	else if (view->snapshot && now - view->last_ok_ms > SNAPSHOT_STALE_MS &&
		 now - view->rendered_ms >= KAPPAVIEW_RENDER_MS)
		kappaview_render(view, now);
}

static void kappaview_on_timer(uv_timer_t *timer)
{
	struct kappaview *view = timer->data;
	int64_t now = (int64_t)uv_now(timer->loop);

	kappaview_age(view, now);
	if (!view->asking &&
		now - view->asked_ms >= (view->version.id ? KAPPAVIEW_POLL_MS : KAPPAVIEW_NONE_MS))
		kappaview_poll(view);
}

static void kappaview_on_listening(struct pg_link_call *call, const PGresult *result, const struct err *err)
{
	(void)call;
	(void)result;
	(void)err; /* asking finds out anyway */
}

static void kappaview_on_up(void *data)
{
	struct kappaview *view = data;
	struct err err = { 0 };

	view->listen.done = kappaview_on_listening;
	view->listen.sql = sql_serving_kappa_listen;
	if (!pg_link_send(view->link, &view->listen, &err))
		kappaview_poll(view);
}

static void kappaview_on_notify(void *data)
{
	kappaview_poll(data);
}

int kappaview_open(struct kappaview *view, uv_loop_t *loop, const struct config *config,
	const struct snapshot_rules *rules, struct err *err)
{
	struct pg_link_events events = { kappaview_on_up, kappaview_on_notify, view,
		strcmp(config->view, "kappa") != 0 };

	view->config = config;
	view->rules = rules;
	view->none = batch_view_new();
	if (pg_link_open(loop, config->postgres, "kappa view", &events, &view->link, err))
		return -1;
	uv_timer_init(loop, &view->timer);
	view->timer.data = view;
	uv_timer_start(&view->timer, kappaview_on_timer, KAPPAVIEW_POLL_MS, KAPPAVIEW_POLL_MS / 2);
	return 0;
}

void kappaview_close(struct kappaview *view)
{
	if (!view->link)
		return;
	pg_link_close(view->link);
	view->link = NULL;
	uv_close((uv_handle_t *)&view->timer, NULL);
}

void kappaview_release(struct kappaview *view)
{
	kappaview_drop(view);
	kappaview_forget(view);
	merge_memory_release(&view->memory);
	batch_view_unref(view->none);
	free(view->partitions_text);
	free(view->nexts_text);
}

void kappaview_explain(const struct kappaview *view, struct problem *problem)
{
	const char *refusal = pg_link_refusal(view->link);

	if (refusal)
		problem_set(problem, 503, "the kappa view cannot be loaded: %s", refusal);
	else if (pg_link_is_away(view->link))
		problem_set(problem, 503,
			"the kappa view cannot be loaded: postgres cannot be asked; see the log");
	else if (view->trouble.code)
		problem_set(problem, 503, "the kappa view cannot be loaded: %s", view->trouble.msg);
	else if (view->ever && !view->version.id)
		problem_set(problem, 404,
			"there is no kappa view: no version is live; 'lambda-speed --store=postgres' begins "
			"one");
	else
		problem_set(problem, 503, "the kappa view is being loaded; try again in a second");
}
