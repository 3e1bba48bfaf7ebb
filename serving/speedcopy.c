#include "common/base.h"
#include "serving/speedcopy.h"

#include "common/kernel/money.h"
#include "common/mem.h"
#include "common/redis_values.h"

/* Entry of a table: what an hour's chunk adds to the sums of its generation. */
struct chunk {
	int32_t hour; /* the key */
	int32_t pad;
	struct view_day *days; /* owned */
	size_t n_days;
};

static void generation_init(struct speed_generation *view, struct speedcopy_generation *gen)
{
	memset(view, 0, sizeof(*view));
	memset(gen, 0, sizeof(*gen));
	table_init(&view->days, sizeof(struct view_day), sizeof(struct view_day_key));
	table_init(&view->duplicates, sizeof(struct view_duplicates), sizeof(int32_t));
	table_init(&view->late, sizeof(struct late_day), sizeof(struct late_key));
	table_init(&gen->chunks, sizeof(struct chunk), sizeof(int32_t));
}

static void generation_release(struct speed_generation *view, struct speedcopy_generation *gen)
{
	for (size_t i = 0; i < gen->chunks.n; i++)
		free(((struct chunk *)table_at(&gen->chunks, i))->days);
	table_release(&gen->chunks);
	table_release(&view->days);
	table_release(&view->duplicates);
	table_release(&view->late);
}

void speedcopy_init(struct speedcopy *copy, const struct calendar *calendar)
{
	memset(copy, 0, sizeof(*copy));
	copy->calendar = calendar;
	copy->view.latest_event_ms = DATETIME_NONE;
	copy->view.beat.waiting_ms = copy->view.beat.record_ms = copy->view.beat.held_ms = DATETIME_NONE;
}

void speedcopy_release(struct speedcopy *copy)
{
	for (size_t i = 0; i < copy->view.n_gens; i++)
		generation_release(&copy->view.gens[i], &copy->gens[i]);
	free(copy->view.gens);
	free(copy->view.lost);
	free(copy->gens);
	memset(copy, 0, sizeof(*copy));
}

void speedcopy_reset(struct speedcopy *copy)
{
	const struct calendar *calendar = copy->calendar;

	speedcopy_release(copy);
	speedcopy_init(copy, calendar);
	copy->changed = true;
}

size_t speedcopy_since(const struct speedcopy *copy, struct redis_since *pairs)
{
	if (!copy->view.n_gens) {
		pairs[0] = (struct redis_since){ 0, 0 };
		return 1;
	}
	for (size_t i = 0; i < copy->view.n_gens; i++)
		pairs[i] = (struct redis_since){ copy->view.gens[i].range.run, copy->gens[i].since };
	return copy->view.n_gens;
}

/* Takes over the list of generations: those that we know go on, new ones begin empty, the others are dropped.
 */
static void sync_generations(struct speedcopy *copy, const struct redis_state *state)
{
	size_t n = state->n_generations, old = 0;
	struct speed_generation *views = xcalloc(n, sizeof(*views));
	struct speedcopy_generation *gens = xcalloc(n, sizeof(*gens));

	for (size_t i = 0; i < n; i++) {
		const struct generation *range = &state->generations[i];

		for (; old < copy->view.n_gens && copy->view.gens[old].range.run < range->run; old++) {
			generation_release(&copy->view.gens[old], &copy->gens[old]);
			copy->changed = true;
		}
		if (old < copy->view.n_gens && copy->view.gens[old].range.run == range->run) {
			copy->changed = copy->changed || copy->view.gens[old].range.next != range->next;
			views[i] = copy->view.gens[old];
			gens[i] = copy->gens[old++];
		} else {
			copy->changed = true;
			generation_init(&views[i], &gens[i]);
		}
		views[i].range = *range;
		gens[i].complete = false;
	}
	for (; old < copy->view.n_gens; old++) {
		generation_release(&copy->view.gens[old], &copy->gens[old]);
		copy->changed = true;
	}
	free(copy->view.gens);
	free(copy->gens);
	copy->view.gens = views;
	copy->gens = gens;
	copy->view.n_gens = n;
}

static void take_state(struct speedcopy *copy, const struct redis_state *state)
{
	struct speed_partition *view = &copy->view;

	copy->changed = copy->changed || view->there != state->present || view->n_lost != state->n_lost;
	copy->born = state->born;
	view->there = state->present;
	view->excludes_late = state->present && strstr(state->fold, ";late=exclude");
	view->latest_event_ms = state->present ? state->latest.latest_event_ms : DATETIME_NONE;
	view->lost = xreallocarray(view->lost, state->n_lost, sizeof(*view->lost));
	view->n_lost = state->n_lost;
	for (size_t i = 0; i < state->n_lost; i++)
		view->lost[i] =
			(struct speed_lost){ state->lost[i].run, state->lost[i].from, state->lost[i].to };
	sync_generations(copy, state);
}

static void take_beat(struct speedcopy *copy, const struct redis_beat *beat)
{
	struct speed_beat *old = &copy->view.beat;
	struct speed_beat now = {
		.there = beat->present,
		.time_ms = beat->time_ms,
		.end = beat->end,
		.next = beat->next,
		.waiting_ms = beat->waiting_ms,
		.record_ms = beat->record_ms,
		.held = beat->held,
		.held_ms = beat->held_ms,
	};

	copy->changed = copy->changed || old->there != now.there || old->time_ms != now.time_ms ||
			old->end != now.end || old->held != now.held;
	*old = now;
}

static int wrong(struct err *err, const struct redis_chunk *chunk)
{
	return err_set(err, ERR_DATA,
		"chunk '%c:%" PRId64 "' of the speed view holds a field or a value that is none", chunk->kind,
		chunk->number);
}

static int too_large(struct err *err)
{
	return err_set(err, ERR_DATA, "a sum of the speed view does not fit 64 bits");
}

/* The hour's revenue by business day (an hour can belong to two) and currency. */
static int sum_hour(
	const struct calendar *calendar, const struct redis_chunk *chunk, struct table *sums, struct err *err)
{
	for (size_t i = 0; i < chunk->n_fields; i++) {
		struct view_day_key key;
		struct view_day *day;
		struct text field;
		int64_t value;
		int minute, currency;
		char what;
		bool is_new;

		if (redis_chunk_field(chunk, i, &field, &value) ||
			redis_revenue_field(field, &minute, &currency, &what))
			return wrong(err, chunk);
		key.day = calendar_day(calendar, (chunk->number * 60 + minute) * MINUTE_MS);
		key.currency = currency;
		day = table_put(sums, &key, &is_new);
		if (redis_revenue_add(&day->revenue, what, value))
			return too_large(err);
	}
	return 0;
}

/* Puts the chunk's new sums in place of its old ones in the sums of the generation. */
static int replace_days(
	struct speed_generation *view, struct chunk *chunk, const struct table *sums, struct err *err)
{
	for (size_t i = 0; i < chunk->n_days; i++) {
		const struct revenue *old = &chunk->days[i].revenue;
		struct revenue minus = { -old->gross_e4, -old->refunds_e4, -old->orders, -old->refund_count,
			-old->units };

		if (view_days_add(&view->days, chunk->days[i].key, &minus))
			return too_large(err);
	}
	chunk->days = xreallocarray(chunk->days, sums->n, sizeof(*chunk->days));
	chunk->n_days = sums->n;
	for (size_t i = 0; i < sums->n; i++) {
		const struct view_day *day = table_at(sums, i);

		chunk->days[i] = *day;
		if (view_days_add(&view->days, day->key, &day->revenue))
			return too_large(err);
	}
	return 0;
}

static int take_hour(struct speedcopy *copy, struct speed_generation *view, struct chunk *chunk,
	const struct redis_chunk *from, struct err *err)
{
	struct table sums;
	int result;

	if (from->number < DATETIME_MIN_MS / 3600000 || from->number >= DATETIME_END_MS / 3600000)
		return wrong(err, from);
	table_init(&sums, sizeof(struct view_day), sizeof(struct view_day_key));
	result = sum_hour(copy->calendar, from, &sums, err);
	if (!result)
		result = replace_days(view, chunk, &sums, err);
	table_release(&sums);
	return result;
}

/* A field of a day's late events. The day has no other chunk, so its values take the place of the sums. */
static int take_late(struct speed_generation *view, const struct redis_chunk *from, struct text field,
	int64_t value, struct err *err)
{
	struct late_key key = { (int32_t)from->number, 0 };
	struct late_day *late;
	bool is_new;
	char what;

	if (redis_late_field(field, &what, &key.currency) ||
		(what == 'e' && (value < 0 || value > REDIS_COUNT_MAX)))
		return wrong(err, from);
	late = table_put(&view->late, &key, &is_new);
	*(what == 'e' ? &late->events : what == 'l' ? &late->net_e4 : &late->worst_ms) = value;
	return 0;
}

static int take_day(struct speed_generation *view, const struct redis_chunk *from, struct err *err)
{
	int32_t day = (int32_t)from->number;

	for (size_t i = 0; i < from->n_fields; i++) {
		struct counters counters = { 0 };
		struct view_duplicates *duplicates;
		struct text field;
		int64_t value;
		bool is_new;

		if (redis_chunk_field(from, i, &field, &value))
			return wrong(err, from);
		if (redis_counter_add(&counters, field, value)) {
			if (take_late(view, from, field, value, err))
				return -1;
			continue;
		}
		duplicates = table_put(&view->duplicates, &day, &is_new);
		duplicates->n = counters.duplicate;
	}
	return 0;
}

static int take_counters(struct speed_generation *view, struct speedcopy_generation *gen,
	const struct redis_chunk *from, struct err *err)
{
	memset(&gen->counters, 0, sizeof(gen->counters));
	for (size_t i = 0; i < from->n_fields; i++) {
		struct text field;
		int64_t value;

		if (redis_chunk_field(from, i, &field, &value) ||
			redis_counter_add(&gen->counters, field, value))
			return wrong(err, from);
	}
	view->rejected = counters_rejected(&gen->counters);
	return 0;
}

static int take_chunk(struct speedcopy *copy, size_t g, const struct redis_chunk *from, struct err *err)
{
	struct speed_generation *view = &copy->view.gens[g];
	int32_t hour = (int32_t)from->number;
	bool is_new;

	copy->changed = true;
	if (from->kind == 'c')
		return take_counters(view, &copy->gens[g], from, err);
	if ((from->kind != 'r' && from->kind != 'd') || from->number < 0 || from->number > INT32_MAX)
		return wrong(err, from);
	if (from->kind == 'd')
		return take_day(view, from, err);
	return take_hour(copy, view, table_put(&copy->gens[g].chunks, &hour, &is_new), from, err);
}

static int take_generation(struct speedcopy *copy, const struct redis_generation_view *from, struct err *err)
{
	for (size_t g = 0; g < copy->view.n_gens; g++) {
		if (copy->view.gens[g].range.run != from->run)
			continue;
		for (size_t i = 0; i < from->n_chunks; i++)
			if (take_chunk(copy, g, &from->chunks[i], err))
				return -1;
		copy->gens[g].complete = from->complete;
		copy->gens[g].since = from->upto;
		return 0;
	}
	return err_set(err, ERR_DATA,
		"the speed view sent generation %" PRId64 ", which its state does not have", from->run);
}

static int check_counts(const struct speedcopy *copy, struct err *err)
{
	for (size_t g = 0; g < copy->view.n_gens; g++) {
		const struct speed_generation *view = &copy->view.gens[g];
		int64_t counted = 0;

		for (size_t i = 0; i < view->days.n; i++) {
			const struct view_day *day = table_at(&view->days, i);

			counted += day->revenue.orders + day->revenue.refund_count;
		}
		if (counted != copy->gens[g].counters.counted)
			return err_set(err, ERR_DATA,
				"generation %" PRId64 " of the speed view counted %" PRId64
				" events, but its chunks hold %" PRId64,
				view->range.run, copy->gens[g].counters.counted, counted);
	}
	return 0;
}

static int take(struct speedcopy *copy, const struct redis_view *view, struct err *err)
{
	take_state(copy, &view->state);
	take_beat(copy, &view->beat);
	for (size_t i = 0; i < view->n_generations; i++)
		if (take_generation(copy, &view->generations[i], err))
			return -1;
	for (size_t g = 0; g < copy->view.n_gens; g++)
		if (!copy->gens[g].complete)
			return 0;
	if (check_counts(copy, err))
		return -1;
	copy->exact = true;
	return 0;
}

/* Is this not what the copy was made of, gone on? It started again, or Redis came back with what it had some
 * time ago: the reply is what changed since a state that is no more. */
static bool started_again(const struct speedcopy *copy, const struct redis_state *state)
{
	if (!copy->view.n_gens || !state->present)
		return false;
	if (state->born != copy->born)
		return true;
	for (size_t g = 0; g < copy->view.n_gens; g++) {
		const struct generation *was = &copy->view.gens[g].range;
		const struct generation *now = redis_state_run(state, was->run);

		if (now && (now->start != was->start || now->next < copy->gens[g].since))
			return true;
	}
	return false;
}

int speedcopy_take(struct speedcopy *copy, const struct redis_view *view, struct err *err)
{
	copy->changed = false;
	copy->exact = false;
	if (started_again(copy, &view->state)) {
		speedcopy_reset(copy);
		return 0;
	}
	if (take(copy, view, err)) {
		speedcopy_reset(copy);
		return -1;
	}
	return 0;
}
