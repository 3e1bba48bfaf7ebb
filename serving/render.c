#include "common/base.h"
#include "serving/render.h"

#include "common/kernel/currency.h"
#include "common/mem.h"
#include "serving/caveat.h"

static const struct revenue *find_revenue(const struct table *days, int32_t day, int currency)
{
	const struct view_day *found = table_find(days, &(struct view_day_key){ day, currency });

	return found ? &found->revenue : NULL;
}

/* One day and currency, taken apart. */
struct render_line {
	bool there; /* something was counted */
	struct revenue total;
	int64_t confirmed_net_e4, provisional_net_e4;
};

/* -1: a sum does not fit */
static int line_of(const struct snapshot *snapshot, enum question_view view, int32_t day, int currency,
	struct render_line *ret_line)
{
	const struct revenue *batch = find_revenue(&snapshot->picture->batch->days, day, currency);
	const struct revenue *speed = find_revenue(&snapshot->picture->days, day, currency);

	memset(ret_line, 0, sizeof(*ret_line));
	if (batch && view != QUESTION_SPEED) {
		ret_line->there = true;
		ret_line->total = *batch;
		ret_line->confirmed_net_e4 = batch->gross_e4 - batch->refunds_e4;
	}
	if (speed && view != QUESTION_BATCH) {
		ret_line->there = true;
		ret_line->provisional_net_e4 = speed->gross_e4 - speed->refunds_e4;
		return revenue_add(&ret_line->total, speed);
	}
	return 0;
}

static void put_amounts(struct out *out, const struct revenue *revenue, int currency)
{
	unsigned decimals = currency_decimals(currency);

	out_string(out, "currency", currency_code(currency));
	out_money(out, "net", revenue->gross_e4 - revenue->refunds_e4, decimals);
	out_money(out, "gross", revenue->gross_e4, decimals);
	out_money(out, "refunds", revenue->refunds_e4, decimals);
	out_int(out, "orders", revenue->orders);
	out_int(out, "refund_count", revenue->refund_count);
	out_int(out, "units", revenue->units);
}

static int put_revenue(struct out *out, const struct snapshot *snapshot, const struct question *question)
{
	struct render_line line;

	out_open(out, "revenue", '[');
	for (int c = 0; c < currency_count(); c++) {
		if (question->currency >= 0 && question->currency != c)
			continue;
		if (line_of(snapshot, question->view, question->from, c, &line))
			return -1;
		if (!line.there)
			continue;
		out_open(out, NULL, '{');
		put_amounts(out, &line.total, c);
		out_open(out, "confirmed", '{');
		out_money(out, "net", line.confirmed_net_e4, currency_decimals(c));
		out_close(out, '}');
		out_open(out, "provisional", '{');
		out_money(out, "net", line.provisional_net_e4, currency_decimals(c));
		out_close(out, '}');
		out_close(out, '}');
	}
	out_close(out, ']');
	return 0;
}

bool render_final(const struct snapshot *snapshot, const struct question *question)
{
	const struct picture *picture = snapshot->picture;
	int64_t end_ms = calendar_day_start_ms(snapshot->rules->calendar, question->to + 1) +
			 snapshot->rules->grace_ms;

	if ((!picture->batch->publication && !picture->kappa.id) || !picture->speed || snapshot->n_missing ||
		snapshot->degraded & (1u << DEGRADED_SPEED_STALE) ||
		snapshot->watermark_ms == DATETIME_NONE || snapshot->watermark_ms < end_ms)
		return false;
	return picture->kappa.id || !caveat_has_provisional(snapshot, question);
}

static void put_batch(struct out *out, const struct batch_view *batch)
{
	if (!batch->publication) {
		out_null(out, "batch");
		return;
	}
	out_open(out, "batch", '{');
	out_int(out, "run", batch->run);
	out_int(out, "publication", batch->publication);
	out_second(out, "cut_time", batch->cut_time_ms);
	out_second(out, "published_at", batch->published_ms);
	if (batch->replay_of)
		out_int(out, "replay_of", batch->replay_of);
	if (batch->rollback)
		out_int(out, "rolled_back", batch->taken_back);
	out_close(out, '}');
}

static void put_kappa(struct out *out, const struct picture *picture)
{
	if (!picture->kappa.id)
		return;
	out_open(out, "kappa", '{');
	out_string(out, "version", picture->kappa.version);
	out_int(out, "promotion", picture->kappa.promotion);
	out_second(out, "promoted_at", picture->kappa.promoted_ms);
	out_open(out, "offsets", '[');
	for (int i = 0; i < picture->n_parts; i++)
		out_int(out, NULL, picture->parts[i].coverage);
	out_close(out, ']');
	out_close(out, '}');
}

static void put_speed(struct out *out, const struct snapshot *snapshot, const struct question *question)
{
	const struct picture *picture = snapshot->picture;
	int64_t duplicates = 0, late = 0;

	if (!picture->speed) {
		out_null(out, "speed");
		return;
	}
	for (size_t i = 0; i < picture->duplicates.n; i++) {
		const struct view_duplicates *day = table_at(&picture->duplicates, i);

		if (day->day >= question->from && day->day <= question->to)
			duplicates += day->n;
	}
	for (size_t i = 0; i < picture->late.n; i++) {
		const struct late_day *day = table_at(&picture->late, i);

		if (day->key.day >= question->from && day->key.day <= question->to)
			late += day->events;
	}
	out_open(out, "speed", '{');
	if (snapshot->lag_events < 0) {
		out_null(out, "lag_events");
		out_null(out, "lag_seconds");
		out_null(out, "held_events");
	} else {
		out_int(out, "lag_events", snapshot->lag_events);
		out_seconds(out, "lag_seconds", snapshot->lag_ms);
		out_int(out, "held_events", snapshot->held_events);
	}
	out_int(out, "duplicates", duplicates);
	out_int(out, "late", late);
	out_int(out, "rejected", picture->rejected);
	if (snapshot->degraded & 1u << DEGRADED_SPEED_STALE)
		out_seconds(out, "age_seconds", snapshot->stale_ms);
	out_close(out, '}');
}

void render_correction(struct out *out, const struct view_correction *correction, int64_t run, bool dated)
{
	unsigned decimals = currency_decimals(correction->key.currency);

	out_open(out, NULL, '{');
	if (dated)
		out_date(out, "date", correction->key.day);
	out_int(out, "run", run);
	out_string(out, "currency", currency_code(correction->key.currency));
	out_money(out, "before", correction->before_e4, decimals);
	out_money(out, "after", correction->after_e4, decimals);
	out_money(out, "difference", correction->after_e4 - correction->before_e4, decimals);
	out_open(out, "causes", '[');
	for (unsigned i = 0; i < correction->n_causes; i++) {
		out_open(out, NULL, '{');
		out_string(out, "cause", correction->causes[i].cause);
		out_money(out, "net", correction->causes[i].net_e4, decimals);
		out_int(out, "events", correction->causes[i].events);
		out_close(out, '}');
	}
	out_close(out, ']');
	out_close(out, '}');
}

static void put_corrections(struct out *out, const struct batch_view *batch, const struct question *question)
{
	out_open(out, "corrections", '[');
	for (size_t i = 0; i < batch->n_corrections; i++) {
		const struct view_correction *correction = &batch->corrections[i];

		if (correction->key.day >= question->from && correction->key.day <= question->to &&
			(question->currency < 0 || question->currency == correction->key.currency))
			render_correction(out, correction, batch->run, question->route == QUESTION_RANGE);
	}
	out_close(out, ']');
}

/* What --late=exclude has left out of the days of the question. */
static void put_excluded(struct out *out, const struct picture *picture, const struct question *question)
{
	if (!picture->excluded.n || question->view == QUESTION_BATCH)
		return;
	out_open(out, "late_excluded", '[');
	for (int32_t day = question->from; day <= question->to; day++) {
		for (int c = 0; c < currency_count(); c++) {
			const struct late_key key = { day, c };
			const struct late_day *late = table_find(&picture->excluded, &key);

			if (!late || (question->currency >= 0 && question->currency != c))
				continue;
			out_open(out, NULL, '{');
			out_date(out, "date", day);
			out_string(out, "currency", currency_code(c));
			out_money(out, "net", late->net_e4, currency_decimals(c));
			out_int(out, "events", late->events);
			out_close(out, '}');
		}
	}
	out_close(out, ']');
}

static void put_degraded(struct out *out, const struct snapshot *snapshot)
{
	out_open(out, "degraded", '[');
	for (enum degraded d = 0; d < DEGRADED_N; d++)
		if (snapshot->degraded & 1u << d)
			out_string(out, NULL, degraded_code(d));
	out_close(out, ']');
	if (!snapshot->n_missing)
		return;
	out_open(out, "missing", '[');
	for (size_t i = 0; i < snapshot->n_missing; i++) {
		out_open(out, NULL, '{');
		out_int(out, "partition", snapshot->missing[i].partition);
		out_int(out, "from", snapshot->missing[i].from);
		if (snapshot->missing[i].to < 0)
			out_null(out, "to");
		else
			out_int(out, "to", snapshot->missing[i].to);
		out_close(out, '}');
	}
	out_close(out, ']');
}

void render_provenance(struct out *out, const struct snapshot *snapshot, const struct question *question)
{
	char caveat[CAVEAT_MAX];

	out_time(out, "as_of", snapshot->as_of_ms);
	out_time(out, "watermark", snapshot->watermark_ms);
	put_batch(out, snapshot->picture->batch);
	put_kappa(out, snapshot->picture);
	put_speed(out, snapshot, question);
	put_corrections(out, snapshot->picture->batch, question);
	put_excluded(out, snapshot->picture, question);
	put_degraded(out, snapshot);
	out_string(out, "caveat", caveat_write(snapshot, question, caveat) ? caveat : NULL);
}

void render_batch_provenance(
	struct out *out, const struct snapshot *snapshot, const struct question *question)
{
	struct snapshot batch = *snapshot;
	struct question confirmed = *question;
	char caveat[CAVEAT_MAX];

	batch.degraded &= 1u << DEGRADED_BATCH_UNAVAILABLE | 1u << DEGRADED_TRUNCATED_HISTORY;
	batch.n_missing = 0;
	confirmed.view = QUESTION_BATCH;
	out_time(out, "as_of", snapshot->as_of_ms);
	put_batch(out, snapshot->picture->batch);
	put_degraded(out, &batch);
	out_string(out, "caveat", caveat_write(&batch, &confirmed, caveat) ? caveat : NULL);
}

struct body *render_finish(struct out *out, int failed, struct problem *problem)
{
	struct body *body;

	if (failed) {
		out_release(out);
		problem_set(problem, 500, "a sum of these amounts does not fit 64 bits");
		return NULL;
	}
	body = body_of_out(out);
	if (!body)
		problem_set(problem, 400,
			"the answer would be larger than %d MiB; ask for fewer days or for one currency",
			RENDER_MAX_BYTES >> 20);
	return body;
}

struct body *render_day(
	const struct snapshot *snapshot, const struct question *question, struct problem *problem)
{
	struct out out;
	int failed;

	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_date(&out, "date", question->from);
	out_string(&out, "time_zone", snapshot->rules->calendar->zone);
	out_bool(&out, "final", render_final(snapshot, question));
	failed = put_revenue(&out, snapshot, question);
	render_provenance(&out, snapshot, question);
	out_close(&out, '}');
	return render_finish(&out, failed, problem);
}

/* -1: a sum does not fit */
static int put_late_currency(
	struct out *out, const struct snapshot *snapshot, const struct question *question, int currency)
{
	const struct late_key key = { question->from, currency };
	const struct late_day *batch = table_find(&snapshot->picture->batch->late, &key);
	const struct late_day *speed = table_find(&snapshot->picture->late, &key);
	const struct late_day *excluded = table_find(&snapshot->picture->excluded, &key);
	struct late_day sum = { key, 0, 0, 0 };

	if (question->view != QUESTION_SPEED && batch)
		sum = *batch;
	if (question->view != QUESTION_BATCH && speed && late_day_add(&sum, speed))
		return -1;
	if (!sum.events)
		return 0;
	out_open(out, NULL, '{');
	out_string(out, "currency", currency_code(currency));
	out_int(out, "events", sum.events);
	out_money(out, "net", sum.net_e4, currency_decimals(currency));
	out_seconds(out, "worst_seconds", sum.worst_ms);
	out_int(out, "excluded", question->view != QUESTION_BATCH && excluded ? excluded->events : 0);
	out_close(out, '}');
	return 0;
}

struct body *render_late(
	const struct snapshot *snapshot, const struct question *question, struct problem *problem)
{
	struct out out;
	int failed = 0;

	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_date(&out, "date", question->from);
	out_string(&out, "time_zone", snapshot->rules->calendar->zone);
	out_bool(&out, "final", render_final(snapshot, question));
	out_open(&out, "late", '[');
	for (int c = 0; c < currency_count() && !failed; c++)
		if (question->currency < 0 || question->currency == c)
			failed = put_late_currency(&out, snapshot, question, c);
	out_close(&out, ']');
	render_provenance(&out, snapshot, question);
	out_close(&out, '}');
	return render_finish(&out, failed, problem);
}

/* Marks the currencies that occur in the days of the question. */
static void mark_currencies(const struct table *days, const struct question *question, bool *marks)
{
	for (size_t i = 0; i < days->n; i++) {
		const struct view_day *day = table_at(days, i);

		if (day->key.day >= question->from && day->key.day <= question->to)
			marks[day->key.currency] = true;
	}
}

static int put_points(struct out *out, const struct snapshot *snapshot, const struct question *question)
{
	SCOPED(xfreep) bool *marks = xcalloc((size_t)currency_count(), sizeof(*marks));
	struct render_line line;

	if (question->currency >= 0) {
		marks[question->currency] = true;
	} else {
		if (question->view != QUESTION_SPEED)
			mark_currencies(&snapshot->picture->batch->days, question, marks);
		if (question->view != QUESTION_BATCH)
			mark_currencies(&snapshot->picture->days, question, marks);
	}
	out_open(out, "points", '[');
	for (int32_t day = question->from; day <= question->to; day++) {
		for (int c = 0; c < currency_count(); c++) {
			if (!marks[c])
				continue;
			if (line_of(snapshot, question->view, day, c, &line))
				return -1;
			out_open(out, NULL, '{');
			out_date(out, "date", day);
			put_amounts(out, &line.total, c);
			out_close(out, '}');
		}
	}
	out_close(out, ']');
	return 0;
}

struct body *render_range(
	const struct snapshot *snapshot, const struct question *question, struct problem *problem)
{
	struct out out;
	int failed;

	out_init(&out, RENDER_MAX_BYTES);
	out_open(&out, NULL, '{');
	out_date(&out, "from", question->from);
	out_date(&out, "to", question->to);
	out_string(&out, "step", "day");
	out_string(&out, "time_zone", snapshot->rules->calendar->zone);
	out_bool(&out, "final", render_final(snapshot, question));
	failed = put_points(&out, snapshot, question);
	render_provenance(&out, snapshot, question);
	out_close(&out, '}');
	return render_finish(&out, failed, problem);
}
