#include "common/base.h"
#include "serving/snapshot.h"

#include "common/mem.h"
#include "serving/render.h"

const char *degraded_code(enum degraded degraded)
{
	static const char *const codes[] = {
#define X(name, code) code,
		DEGRADED_CODES(X)
#undef X
	};

	return codes[degraded];
}

static void degrade(struct snapshot *snapshot, enum degraded degraded)
{
	snapshot->degraded |= 1u << degraded;
}

static void add_missing(struct snapshot *snapshot, int partition, int64_t from, int64_t to)
{
	snapshot->missing =
		xreallocarray(snapshot->missing, snapshot->n_missing + 1, sizeof(*snapshot->missing));
	snapshot->missing[snapshot->n_missing++] = (struct merge_range){ partition, from, to };
}

/* Nothing has come for a while and nothing waits: such a partition does not hold the watermark back. */
static bool part_is_idle(const struct merge_part *part, int64_t wall_ms, int64_t idle_ms)
{
	const struct speed_beat *beat = &part->beat;

	if (!beat->there || beat->waiting_ms != DATETIME_NONE || part->speed_next < beat->end)
		return false;
	return beat->record_ms == DATETIME_NONE || wall_ms - beat->record_ms >= idle_ms;
}

static int64_t watermark(const struct picture *picture, int64_t wall_ms, int64_t idle_ms)
{
	int64_t least = INT64_MAX, greatest = DATETIME_NONE;
	bool unknown = false;

	for (int i = 0; i < picture->n_parts; i++) {
		const struct merge_part *part = &picture->parts[i];

		if (part->latest_event_ms > greatest)
			greatest = part->latest_event_ms;
		if (picture->speed && part_is_idle(part, wall_ms, idle_ms))
			continue;
		if (part->latest_event_ms == DATETIME_NONE)
			unknown = true; /* busy, but none of its events is in the numbers yet */
		else if (part->latest_event_ms < least)
			least = part->latest_event_ms;
	}
	if (unknown)
		return DATETIME_NONE;
	return least == INT64_MAX ? greatest : least;
}

/* Age of the oldest record that waits to be counted; 0 when none does. What came after the heartbeat is not
 * known here: within the second between two of them it can be too little by as much. */
static int64_t part_lag_ms(const struct merge_part *part, int64_t wall_ms)
{
	const struct speed_beat *beat = &part->beat;
	int64_t lag;

	if (beat->waiting_ms == DATETIME_NONE)
		return 0;
	/* what waited at the heartbeat has been counted since, and something newer waits */
	lag = part->speed_next > beat->next ? beat->time_ms - beat->waiting_ms : wall_ms - beat->waiting_ms;
	return lag > 0 ? lag : 0;
}

static int64_t part_next(const struct merge_part *part)
{
	return part->coverage > part->speed_next ? part->coverage : part->speed_next;
}

static bool part_is_silent(const struct snapshot *snapshot, const struct merge_part *part)
{
	return !part->beat.there || snapshot->as_of_ms - part->beat.time_ms > SNAPSHOT_SILENT_MS;
}

static bool lag_is_known(const struct snapshot *snapshot)
{
	return snapshot->picture->speed && snapshot->stale_ms <= SNAPSHOT_STALE_MS;
}

int64_t snapshot_part_lag(const struct snapshot *snapshot, int partition)
{
	const struct merge_part *part = &snapshot->picture->parts[partition];
	int64_t next = part_next(part);

	if (!lag_is_known(snapshot) || part_is_silent(snapshot, part))
		return -1;
	return next < part->beat.end ? part->beat.end - next : 0;
}

int64_t snapshot_part_held(const struct snapshot *snapshot, int partition)
{
	const struct merge_part *part = &snapshot->picture->parts[partition];

	if (!lag_is_known(snapshot) || part_is_silent(snapshot, part))
		return -1;
	return part_next(part) <= part->beat.end ? part->beat.held : 0; /* else it has been let go since */
}

bool snapshot_part_idle(const struct snapshot *snapshot, int partition)
{
	const struct picture *picture = snapshot->picture;

	return picture->speed &&
	       part_is_idle(&picture->parts[partition], snapshot->as_of_ms, snapshot->rules->idle_ms);
}

static void measure_held(struct snapshot *snapshot, int partition)
{
	const struct speed_beat *beat = &snapshot->picture->parts[partition].beat;
	int64_t held = snapshot_part_held(snapshot, partition);
	int64_t ms = snapshot->as_of_ms - beat->held_ms;

	if (held <= 0)
		return;
	snapshot->held_events += held;
	if (beat->held_ms != DATETIME_NONE && ms > snapshot->held_ms)
		snapshot->held_ms = ms;
}

static void measure_lag(struct snapshot *snapshot)
{
	const struct picture *picture = snapshot->picture;
	bool silent = picture->n_parts == 0;

	snapshot->lag_events = snapshot->lag_ms = snapshot->held_events = snapshot->held_ms = 0;
	for (int i = 0; i < picture->n_parts; i++) {
		int64_t events = snapshot_part_lag(snapshot, i), ms;

		measure_held(snapshot, i);
		silent = silent || events < 0;
		if (events <= 0)
			continue;
		snapshot->lag_events += events;
		ms = part_lag_ms(&picture->parts[i], snapshot->as_of_ms);
		snapshot->lag_ms = ms > snapshot->lag_ms ? ms : snapshot->lag_ms;
	}
	if (!silent)
		return;
	degrade(snapshot, DEGRADED_SPEED_SILENT);
	snapshot->lag_events = snapshot->lag_ms = snapshot->held_events = snapshot->held_ms = -1;
}

static void name_gaps(struct snapshot *snapshot, int n_known, const int64_t *known)
{
	const struct picture *picture = snapshot->picture;
	int n = n_known > picture->n_parts ? n_known : picture->n_parts;

	for (int i = 0; i < n; i++) {
		const struct merge_part *part = i < picture->n_parts ? &picture->parts[i] : NULL;
		int64_t coverage = part ? part->coverage : 0;
		int64_t was = i < n_known ? known[i] : 0;

		if (part && part->speed_next > was)
			was = part->speed_next;
		if (!picture->speed) {
			add_missing(snapshot, i, coverage, -1);
		} else if (coverage < was) {
			degrade(snapshot, DEGRADED_REBUILDING);
			add_missing(snapshot, i, coverage, was);
		} else if (!part || part->join == MERGE_APART || part->join == MERGE_ABSENT) {
			degrade(snapshot, DEGRADED_REBUILDING);
			add_missing(snapshot, i, coverage, -1);
		}
	}
	for (size_t i = 0; i < picture->batch->lost.n; i++) {
		const struct range *lost = &picture->batch->lost.at[i];

		degrade(snapshot, DEGRADED_LOST_EVENTS);
		add_missing(snapshot, lost->partition, lost->from, lost->to);
	}
	for (size_t i = 0; i < picture->n_lost; i++) {
		degrade(snapshot, DEGRADED_LOST_EVENTS);
		add_missing(snapshot, picture->lost[i].partition, picture->lost[i].from, picture->lost[i].to);
	}
}

struct snapshot *snapshot_new(const struct snapshot_rules *rules, const struct snapshot_input *input)
{
	struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
	struct picture *picture = picture_ref(input->picture);

	snapshot->refs = 1;
	snapshot->rules = rules;
	snapshot->picture = picture;
	snapshot->as_of_ms = input->wall_ms;
	snapshot->today = calendar_day(rules->calendar, input->wall_ms);
	snapshot->watermark_ms = watermark(picture, input->wall_ms, rules->idle_ms);
	snapshot->stale_ms = input->now_ms - picture->made_ms;
	snapshot->lag_events = snapshot->lag_ms = snapshot->held_events = snapshot->held_ms = -1;
	if (!picture->speed)
		degrade(snapshot, DEGRADED_SPEED_UNAVAILABLE);
	else if (snapshot->stale_ms > SNAPSHOT_STALE_MS)
		degrade(snapshot, DEGRADED_SPEED_STALE);
	else
		measure_lag(snapshot);
	if (input->batch_away)
		degrade(snapshot, DEGRADED_BATCH_UNAVAILABLE);
	name_gaps(snapshot, input->n_known, input->known);
	if (picture->batch->truncated)
		degrade(snapshot, DEGRADED_TRUNCATED_HISTORY);
	return snapshot;
}

struct snapshot *snapshot_without_speed(const struct snapshot *snapshot)
{
	struct batch_view *batch = snapshot->picture->batch;
	struct picture *picture = merge_picture(&batch, 1, NULL, 0, false, 0);
	struct snapshot_input input = {
		.picture = picture,
		.wall_ms = snapshot->as_of_ms,
		.batch_away = snapshot->degraded & 1u << DEGRADED_BATCH_UNAVAILABLE,
	};
	struct snapshot *without = snapshot_new(snapshot->rules, &input);

	picture_unref(picture);
	return without;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	snapshot->refs++;
	return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
	if (!snapshot || --snapshot->refs)
		return;
	for (size_t i = 0; i < SNAPSHOT_ANSWERS; i++)
		body_unref(snapshot->answers[i].body);
	picture_unref(snapshot->picture);
	free(snapshot->missing);
	free(snapshot);
}

static bool same_question(const struct question *a, const struct question *b)
{
	return a->route == b->route && a->from == b->from && a->to == b->to && a->currency == b->currency &&
	       a->view == b->view;
}

struct body *snapshot_answer(
	struct snapshot *snapshot, const struct question *question, struct problem *problem)
{
	struct question asked = *question;
	struct snapshot_answer *slot;

	if (asked.today)
		asked.from = asked.to = snapshot->today;
	slot = &snapshot->answers[((unsigned)asked.from * 31u + (unsigned)asked.to * 7u +
					  (unsigned)(asked.currency + 1) * 3u + (unsigned)asked.view +
					  (unsigned)asked.route * 16u) %
				  SNAPSHOT_ANSWERS];
	if (!slot->body || !same_question(&slot->question, &asked)) {
		struct body *body = asked.route == QUESTION_DAY    ? render_day(snapshot, &asked, problem)
				    : asked.route == QUESTION_LATE ? render_late(snapshot, &asked, problem)
								   : render_range(snapshot, &asked, problem);

		if (!body)
			return NULL;
		body_unref(slot->body);
		slot->question = asked;
		slot->body = body;
	}
	return body_ref(slot->body);
}
