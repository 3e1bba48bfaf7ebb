/* What the worker tells about itself: heartbeats, log lines, committed offsets. */
#include "common/base.h"
#include "speed/speed.h"

#include "common/log.h"

enum {
	PROGRESS_EVERY_MS = 10000,
	PROGRESS_BEHIND_MS = 10000,
	PROGRESS_COMMIT_MS = 5000,
	PROGRESS_ASK_MS = 200, /* of each tick for asking where logs end */
};

bool progress_is_ours(const struct partition *p)
{
	return p && (p->state == PARTITION_WARMING || p->state == PARTITION_FOLDING);
}

/* What an open transaction holds back. To a reader of committed records the log ends at the last stable
 * offset: there the end-of-partition event came. The high watermark, which librdkafka keeps whatever the
 * isolation level is, lies behind it. Records that were fetched and wait for us look the same; so it must
 * last from one tick to the next, and all that was fetched must have been taken in between. */
static void progress_held(const struct speed *speed, struct partition *p, int64_t high)
{
	if (!p->at_end || high <= p->position) {
		p->held = 0;
		p->held_ms = DATETIME_NONE;
	} else if (p->held_ms == DATETIME_NONE || p->held_at != p->position) {
		p->held = 0;
		p->held_at = p->position;
		p->held_ms = clock_wall_ms();
		p->held_drained = speed->n_drained;
	} else if (p->held_drained != speed->n_drained) {
		p->held = high - p->position;
	}
}

/* The end of the log, from the last answer to a fetch: no question of its own. */
static void progress_end(struct speed *speed, struct partition *p)
{
	int64_t low, high;

	if (rd_kafka_get_watermark_offsets(speed->rk, speed->config.topic, p->number, &low, &high))
		high = -1;
	progress_held(speed, p, high);
	if (p->at_end) { /* the end-of-partition event knows better than the high watermark: markers, open
			    transactions */
		p->end = p->position;
		return;
	}
	if (high > p->end)
		p->end = high;
	if (p->end < p->position)
		p->end = p->position;
}

/* With a backlog, Kafka's client has fetched all that it may hold and asks for no more for a while, so what
 * it told of the log's end grows old, and the lag would look too small. */
static void progress_ask_end(struct speed *speed, struct partition *p)
{
	struct err err = { 0 };
	int64_t first, end, before = p->fetched_end, low, high;

	if (p->archived.reads ||
		rd_kafka_get_watermark_offsets(speed->rk, speed->config.topic, p->number, &low, &high))
		high = before;
	p->fetched_end = high;
	if (high == before && !p->at_end &&
		kafka_range(speed->letters.rk, speed->config.topic, p->number, PROGRESS_ASK_MS, &first, &end,
			&err) == 0 &&
		end > p->end)
		p->end = end;
}

static void progress_ends(struct speed *speed)
{
	int64_t until_ms = clock_ms() + PROGRESS_ASK_MS;

	for (int i = 0; i < speed->n_partitions; i++)
		if (progress_is_ours(speed->partitions[i]))
			progress_end(speed, speed->partitions[i]);
	for (int i = 0; i < speed->n_partitions && clock_ms() < until_ms; i++) {
		speed->asked_end = (speed->asked_end + 1) % speed->n_partitions;
		if (progress_is_ours(speed->partitions[speed->asked_end]))
			progress_ask_end(speed, speed->partitions[speed->asked_end]);
	}
}

void progress_beat(const struct speed *speed, const struct partition *p, struct redis_beat *ret_beat)
{
	*ret_beat = (struct redis_beat){
		.time_ms = clock_wall_ms(),
		.end = p->end,
		.next = p->next,
		.waiting_ms = partition_waiting_ms(p),
		.record_ms = p->arrived_ms,
		.held = p->held,
		.held_ms = p->held ? p->held_ms : DATETIME_NONE,
	};
	snprintf(ret_beat->worker, sizeof(ret_beat->worker), "%s", speed->worker);
}

void progress_tick(struct speed *speed)
{
	struct err err = { 0 };

	progress_ends(speed);
	if (clock_ms() - speed->commit_ms >= PROGRESS_COMMIT_MS) {
		speed->commit_ms = clock_ms();
		consumer_commit(speed);
	}
	if (speed->keep->is_open(speed) && speed->keep->tick(speed, &err))
		flush_lost_keep(speed, &err);
}

/* --- log lines --------------------------------------------------------------------------------- */

void progress_catch_up(struct speed *speed)
{
	if (speed->progress.catching_up)
		return;
	speed->progress =
		(struct progress){ .catching_up = true, .since_ms = clock_ms(), .said_ms = clock_ms() };
}

/* Counts what is ours and what is current; sums the lag. */
static int progress_count(const struct speed *speed, int *ret_current, int64_t *ret_lag)
{
	int n = 0;

	*ret_current = 0;
	*ret_lag = 0;
	for (int i = 0; i < speed->n_partitions; i++) {
		const struct partition *p = speed->partitions[i];

		if (!p || p->state == PARTITION_AWAY)
			continue;
		n++;
		*ret_current += partition_is_current(p);
		*ret_lag += partition_lag(p);
	}
	return n;
}

static void progress_caught_up(struct speed *speed)
{
	struct progress *progress = &speed->progress;
	int64_t ms = clock_ms() - progress->since_ms;

	log_info("speed caught up events=%" PRId64 " seconds=%.1f events_per_second=%" PRId64,
		progress->n_records, (double)ms / 1000, progress->n_records * 1000 / (ms ? ms : 1));
	progress->catching_up = false;
}

static void progress_say(struct speed *speed, int n, int current, int64_t lag)
{
	struct progress *progress = &speed->progress;
	int64_t now_ms = clock_ms(), ms = now_ms - progress->said_ms;

	log_info("catching up events_per_second=%" PRId64 " lag=%" PRId64
		 " partitions=%d current=%d read_again=%" PRId64,
		(progress->n_records - progress->said_records) * 1000 / (ms ? ms : 1), lag, n, current,
		progress->n_warmed);
	progress->said_ms = now_ms;
	progress->said_records = progress->n_records;
}

void progress_turn(struct speed *speed)
{
	struct progress *progress = &speed->progress;
	int current, n = 0;
	int64_t lag, now_ms = clock_ms();

	n = progress_count(speed, &current, &lag);
	if (n == 0)
		return;
	if (n == current) {
		progress->behind_ms = 0;
		if (progress->catching_up)
			progress_caught_up(speed);
		return;
	}
	if (!progress->behind_ms)
		progress->behind_ms = now_ms;
	if (!progress->catching_up && now_ms - progress->behind_ms >= PROGRESS_BEHIND_MS &&
		lag > speed->config.pending_max)
		progress_catch_up(speed);
	if (progress->catching_up && now_ms - progress->said_ms >= PROGRESS_EVERY_MS)
		progress_say(speed, n, current, lag);
}
