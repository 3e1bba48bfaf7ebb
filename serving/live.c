#include "common/base.h"
#include "serving/live.h"

#include "common/clock.h"
#include "common/log.h"

enum live_speed { LIVE_SPEED_WAIT, LIVE_SPEED_USE, LIVE_SPEED_AWAY };

static enum live_speed live_speed(const struct live *live, int64_t now)
{
	const struct speedview *speedview = &live->speedview;
	int64_t max_age = live->config->max_speed_age_ms;

	if (!speedview->ever)
		return speedview_is_away(speedview) || now - live->started_ms > LIVE_START_MS
			       ? LIVE_SPEED_AWAY
			       : LIVE_SPEED_WAIT;
	if (max_age < SNAPSHOT_STALE_MS)
		max_age = SNAPSHOT_STALE_MS;
	return now - speedview->last_ok_ms <= max_age ? LIVE_SPEED_USE : LIVE_SPEED_AWAY;
}

/* Makes the next picture where that is possible; memory.shown is what to show. */
static void live_merge(struct live *live, int64_t now, bool use_speed)
{
	const struct speed_partition *partitions = use_speed ? speedview_partitions(&live->speedview) : NULL;
	struct picture *picture;

	if (use_speed && !speedview_is_exact(&live->speedview))
		return;
	picture = merge_picture(live->batchview.views, live->batchview.n_views, partitions,
		use_speed ? live->speedview.n_copies : 0, use_speed,
		use_speed ? live->speedview.last_ok_ms : now);
	if (!picture && !live->complained)
		log_error("the sums of batch and speed view do not fit 64 bits; keeping the last answer");
	live->complained = !picture;
	if (!picture)
		return;
	merge_show(&live->memory, picture, now, live->config->max_speed_age_ms);
}

struct snapshot *live_snapshot_of(const struct live *live, struct picture *picture)
{
	int64_t now = (int64_t)uv_now(live->timer.loop);
	struct snapshot_input input = {
		.picture = picture,
		.wall_ms = clock_wall_ms(),
		.now_ms = now,
		.known = live->memory.known,
		.n_known = live->memory.n_known,
		.batch_away = now - live->batchview.last_ok_ms > LIVE_BATCH_AWAY_MS,
	};

	return snapshot_new(&live->rules, &input);
}

static void live_refresh(struct live *live)
{
	int64_t now = (int64_t)uv_now(live->timer.loop);
	enum live_speed speed = live_speed(live, now);
	struct question today = { .route = QUESTION_DAY, .today = true, .currency = -1 };
	struct problem problem;
	struct snapshot *snapshot;

	if (!live->batchview.n_views || speed == LIVE_SPEED_WAIT)
		return;
	live_merge(live, now, speed == LIVE_SPEED_USE);
	if (!live->memory.shown)
		return;
	snapshot = live_snapshot_of(live, live->memory.shown);
	snapshot_unref(live->snapshot);
	live->snapshot = snapshot;
	live->rendered_ms = now;
	live->n_rendered++;
	body_unref(snapshot_answer(snapshot, &today, &problem)); /* the snapshot keeps it */
}

static void live_on_batch(void *data)
{
	struct live *live = data;

	speedview_expect(&live->speedview, live->batchview.views[0]->n_cuts);
	live_refresh(live);
}

static void live_on_speed(void *data)
{
	live_refresh(data);
}

static void live_on_timer(uv_timer_t *timer)
{
	struct live *live = timer->data;

	if (!live->snapshot ||
		(int64_t)uv_now(timer->loop) - live->rendered_ms >= LIVE_RENDER_MS - LIVE_TICK_MS)
		live_refresh(live);
}

int live_open(struct live *live, uv_loop_t *loop, const struct config *config, struct err *err)
{
	live->config = config;
	live->rules = (struct snapshot_rules){ &config->calendar, config->grace_ms, config->idle_ms };
	live->kappa_only = !strcmp(config->view, "kappa");
	live->started_ms = (int64_t)uv_now(loop);
	live->opened = true;
	if (kappaview_open(&live->kappa, loop, config, &live->rules, err))
		return -1;
	if (live->kappa_only)
		return 0;
	uv_timer_init(loop, &live->timer);
	live->timer.data = live;
	uv_timer_start(&live->timer, live_on_timer, LIVE_TICK_MS, LIVE_TICK_MS);
	if (batchview_open(&live->batchview, loop, config, live_on_batch, live, err))
		return -1;
	return speedview_open(&live->speedview, loop, config, live_on_speed, live, err);
}

void live_close(struct live *live)
{
	if (!live->opened)
		return;
	kappaview_close(&live->kappa);
	batchview_close(&live->batchview);
	speedview_close(&live->speedview);
	if (live->timer.data)
		uv_close((uv_handle_t *)&live->timer, NULL);
	live->opened = false;
}

void live_release(struct live *live)
{
	snapshot_unref(live->snapshot);
	live->snapshot = NULL;
	merge_memory_release(&live->memory);
	speedview_release(&live->speedview);
	kappaview_release(&live->kappa);
}

struct snapshot *live_snapshot(const struct live *live, enum question_view view)
{
	return view == QUESTION_KAPPA ? live->kappa.snapshot : live->snapshot;
}

enum question_view live_view(const struct live *live)
{
	return live->kappa_only ? QUESTION_KAPPA : QUESTION_MERGED;
}

void live_explain(const struct live *live, enum question_view view, struct problem *problem)
{
	const char *trouble = live->kappa_only ? NULL : batchview_trouble(&live->batchview);

	if (view == QUESTION_KAPPA)
		kappaview_explain(&live->kappa, problem);
	else if (live->kappa_only)
		problem_set(problem, 404,
			"there is only the kappa view here: this server runs with --view=kappa");
	else if (!live->batchview.n_views)
		problem_set(problem, 503, "the batch view has not been loaded yet: %s",
			trouble ? trouble : "starting");
	else
		problem_set(problem, 503,
			"the speed view is being read for the first time; try again in a second");
}
