/* What the worker tells about itself: heartbeats in Redis, log lines, committed offsets. And the adopt of
 * every second. */
#include "common/base.h"
#include "speed/speed.h"

#include "common/log.h"

enum {
	PROGRESS_EVERY_MS = 10000,
	PROGRESS_BEHIND_MS = 10000,
	PROGRESS_COMMIT_MS = 5000,
	PROGRESS_ASK_MS = 200, /* of each tick for asking where logs end */
	PROGRESS_STALE_TICKS = PUBLISHED_FRESH_MS / SPEED_TICK_MS, /* by then the answer is a new one */
};

static bool progress_is_ours(const struct partition *p)
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

	if (rd_kafka_get_watermark_offsets(speed->rk, speed->config.topic, p->number, &low, &high))
		return;
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

static void progress_beat(struct speed *speed, struct partition *p)
{
	struct redis_beat beat = {
		.time_ms = clock_wall_ms(),
		.end = p->end,
		.next = p->next,
		.waiting_ms = partition_waiting_ms(p),
		.record_ms = p->arrived_ms,
		.held = p->held,
		.held_ms = p->held ? p->held_ms : DATETIME_NONE,
	};

	snprintf(beat.worker, sizeof(beat.worker), "%s", speed->worker);
	for (int i = 0; i < 2; i++) {
		redis_beat_command(&speed->store.command, p->base, &beat, i);
		store_send(&speed->store, (struct store_owed){ STORE_BEAT, p->number, p->life });
	}
}

static void progress_adopt(struct speed *speed, const struct pg_published *published, struct partition *p)
{
	struct redis_adopt adopt;
	struct tail tail;

	if (published->publication < p->known.seen) { /* it would be refused as stale */
		if (++p->n_stale > PROGRESS_STALE_TICKS && complaint_due(&speed->stale))
			log_warn("partition %d: redis has seen publication %" PRId64 ", postgres has %" PRId64
				 "; going on without it hint: if "
				 "the database was restored from an older backup, FCALL lambda_1_drop 1 '%s'",
				p->number, p->known.seen, published->publication, p->base);
		return;
	}
	p->n_stale = 0;
	if (!recovery_adopt_arguments(speed, published, p, -1, &adopt, &tail)) {
		recovery_need(speed, p, 0); /* a run without this partition has been published */
		return;
	}
	redis_adopt_command(&speed->store.command, p->base, &adopt);
	store_send(&speed->store, (struct store_owed){ STORE_ADOPT, p->number, p->life });
}

void progress_tick(struct speed *speed)
{
	struct err err = { 0 };
	const struct pg_published *published = published_get(speed->published, &err);

	if (!published && complaint_due(&speed->no_postgres))
		log_warn("%s; going on with the state in redis, retrying", err.msg);
	if (published && complaint_over(&speed->no_postgres))
		log_info("postgres answers");
	if (published && recovery_check_published(speed, published, "", &speed->fatal))
		return; /* its cuts are not of this log */
	progress_ends(speed);
	if (clock_ms() - speed->commit_ms >= PROGRESS_COMMIT_MS) {
		speed->commit_ms = clock_ms();
		consumer_commit(speed);
	}
	if (!speed->store.redis)
		return;
	for (int i = 0; i < speed->n_partitions; i++) {
		if (!progress_is_ours(speed->partitions[i]))
			continue;
		progress_beat(speed, speed->partitions[i]);
		if (published)
			progress_adopt(speed, published, speed->partitions[i]);
	}
	if (store_write(&speed->store, &err))
		flush_lost_redis(speed, &err);
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
