/* The one path by which a partition comes (back) to folding: after an assignment, a refused flush, a lost
 * Redis, a start.
 *
 * Drop what is pending; read the state in Redis; adopt the published run; check that state, run and log
 * belong together; read the horizon again where it does not reach back; seek. Each step may fail:
 * - Postgres cannot be asked: the state in Redis is used as it is. Where there is none (or a broken one, or
 * one of other rules) the partition waits, for "cannot ask" is not "nothing published";
 * - Redis or Kafka does not answer: tried again after SPEED_RETRY_MS;
 * - another log than before, or a state that a newer program folded: the program ends with ERR_DATA.
 * The steps block, some milliseconds each; with N partitions assigned at once the first ones wait for the
 * last. */
#include "common/base.h"
#include "speed/speed.h"

#include "common/failpoint.h"
#include "common/log.h"

enum { RECOVERY_LOOK_MS = 3 * WATCH_EVERY_MS };

void recovery_need(struct speed *speed, struct partition *p, int64_t wait_ms)
{
	if (p->state == PARTITION_AWAY)
		return;
	speed->n_pending -= p->n_pending;
	partition_drop(p);
	speed->is_full = false; /* the next record says so again */
	if (p->state != PARTITION_WAITING)
		speed->must_assign = true;
	p->state = PARTITION_WAITING;
	p->retry_ms = clock_ms() + wait_ms;
}

/* --- checks ------------------------------------------------------------------------------------ */

int recovery_check_origin(
	const struct speed *speed, const char *what, const char *log, const char *fold, struct err *err)
{
	if (*log && strcmp(log, speed->log.identity) != 0)
		return err_set(err, ERR_DATA,
			"%s is of another log ('%s') than the one that is read ('%s'); hint: was the cluster "
			"or "
			"the topic replaced? point --brokers and --topic to the old log, or start with "
			"another --name and an "
			"empty database",
			what, log, speed->log.identity);
	if (fold_version_kernel(fold) > KERNEL_VERSION)
		return err_set(err, ERR_DATA,
			"%s was made by a newer program ('%s', this one is '%s'); hint: run the newer "
			"version "
			"of "
			"lambda-speed",
			what, fold, speed->fold);
	return 0;
}

static int recovery_range(
	struct speed *speed, const struct partition *p, int64_t *ret_first, int64_t *ret_end, struct err *err)
{
	return kafka_range_again(
		speed->letters.rk, speed->config.topic, p->number, SPEED_ASK_MS, ret_first, ret_end, err);
}

/* The record below the published cut too: the state may have been made of both logs before anybody noticed;
 * and the last one that was archived. */
static int recovery_check_tails(
	struct speed *speed, const struct pg_published *published, const struct partition *p, struct err *err)
{
	SCOPED(kafka_close) rd_kafka_t *rk = NULL;
	struct tail tails[2] = { p->known.tail, archived_tail(p) };

	if (published && p->number < published->n_cuts &&
		tail_parse(published->cuts[p->number].tail, &tails[1]))
		tail_init(&tails[1]);
	if (tails[1].offset == tails[0].offset && tails[1].hash == tails[0].hash)
		tail_init(&tails[1]);
	if (kafka_open_reader(&speed->config, &rk, err))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++)
		if (kafka_check_tail_by(rk, speed->config.topic, p->number, &tails[i], SPEED_ASK_MS, err))
			return -1;
	return 0;
}

/* The log must hold what the state says that it has. */
static int recovery_check_log(struct speed *speed, const struct pg_published *published,
	const struct partition *p, int64_t end, struct err *err)
{
	int64_t next = redis_state_open(&p->known)->next, first;

	if (next > end && recovery_range(speed, p, &first, &end, err))
		return -1;
	if (next > end)
		return err_set(err, ERR_DATA,
			"partition %d ends at offset %" PRId64 ", but the state is at %" PRId64
			": the topic was "
			"created again or truncated; hint: point --brokers and --topic to the old log, or "
			"start with another "
			"--name and an empty database",
			p->number, end, next);
	return recovery_check_tails(speed, published, p, err);
}

/* --- horizon ----------------------------------------------------------------------------------- */

static int recovery_horizon(struct speed *speed, struct partition *p, int64_t first, int64_t from_ms,
	int64_t *ret_from, struct err *err)
{
	int64_t from = p->position - speed->config.horizon_records, at;

	if (from < first)
		from = first;
	if (from < p->position && from_ms != DATETIME_NONE) {
		if (kafka_offset_at(speed->letters.rk, speed->config.topic, p->number, from_ms, SPEED_ASK_MS,
			    &at, err))
			return -1;
		at = archived_offset_at(p, from_ms, at);
		from = at > from ? at : from;
	}
	*ret_from = from < p->position ? from : p->position;
	return 0;
}

/* first: of what the archive or Kafka has, kafka_first: of Kafka. With an archive, what is missing in front
 * of the position is a hole, which archived_find() sees. */
static int recovery_seek(struct speed *speed, struct partition *p, int64_t first, int64_t kafka_first,
	int64_t end, struct err *err)
{
	int64_t next = redis_state_open(&p->known)->next, from_ms, from;
	bool archived = archived_is_used(speed);

	if (!partition_resume(p, &speed->config, archived && first > next ? next : first, &from_ms)) {
		if (recovery_horizon(speed, p, first, from_ms, &from, err))
			return -1;
		partition_warm(p, from);
	}
	if (archived && archived_find(speed, p, kafka_first, err))
		return -1;
	speed->must_assign = true;
	p->end = end;
	p->letters_failed = false;
	if (p->lost_from < p->lost_to && !archived)
		log_warn("partition %d: retention took offsets %" PRId64 " to %" PRId64
			 " before they were read, going on behind "
			 "them; every answer says so until a run covers them",
			p->number, p->lost_from, p->lost_to);
	if (p->state == PARTITION_WARMING || end - p->position > speed->config.pending_max)
		progress_catch_up(speed);
	return 0;
}

/* --- the path ---------------------------------------------------------------------------------- */

static int recovery_partition(struct speed *speed, struct partition *p, struct err *err)
{
	const struct pg_published *published = NULL;
	struct err postgres = { 0 };
	char what[16] = "as it is";
	int64_t first, kafka_first, end;

	if (p->number >= speed->letters.n_partitions &&
		letters_ensure(&speed->letters, speed->rk, p->number + 1, err))
		return -1;
	if (archived_open(speed, p, err) || recovery_range(speed, p, &kafka_first, &end, err))
		return -1;
	first = archived_first(p, kafka_first);
	if (speed->keep->load(speed, p, first, what, err))
		return -1;
	if (speed->published) /* not before load(), which asks for it too */
		published = published_get(speed->published, &postgres);
	if (recovery_check_log(speed, published, p, end, err) || archived_check(p, err) ||
		recovery_seek(speed, p, first, kafka_first, end, err))
		return -1;
	FAILPOINT("recovery.sought");
	log_info("partition %d: %s run=%" PRId64 " start=%" PRId64 " next=%" PRId64 " read_from=%" PRId64
		 " end=%" PRId64,
		p->number, what, redis_state_open(&p->known)->run, redis_state_open(&p->known)->start,
		p->next, p->state == PARTITION_WARMING ? p->warm_from : p->position, end);
	return 0;
}

static void recovery_failed(struct speed *speed, struct partition *p, const struct err *err)
{
	struct complaint *complaint = err->code == ERR_DATABASE   ? &speed->no_postgres
				      : err->code == ERR_REDIS    ? &speed->no_keep
				      : err->code == ERR_NO_INPUT ? &speed->no_archive
								  : &speed->no_kafka;

	recovery_need(speed, p, SPEED_RETRY_MS);
	if (err->code == ERR_DATA || err->code == ERR_USAGE) {
		speed->fatal = *err;
		return;
	}
	if (complaint_due(complaint))
		log_warn("partition %d waits: %s; retrying", p->number, err->msg);
	if (speed->keep->is_broken(speed))
		flush_lost_keep(speed, err);
}

static void recovery_all(struct speed *speed)
{
	struct err err = { 0 };

	for (int i = 0; i < speed->n_partitions && speed->keep->is_open(speed) && !speed_stop; i++) {
		struct partition *p = speed->partitions[i];

		if (!p || p->state != PARTITION_WAITING || clock_ms() < p->retry_ms)
			continue;
		if (speed->keep->drain(speed, &err)) { /* replies to others come first */
			flush_lost_keep(speed, &err);
			return;
		}
		if (p->state != PARTITION_WAITING)
			continue;
		if (recovery_partition(speed, p, &err))
			recovery_failed(speed, p, &err);
		else if (complaint_over(&speed->no_kafka))
			log_info("kafka answers");
		if (speed->fatal.code != ERR_NONE)
			return;
	}
}

void recovery_turn(struct speed *speed)
{
	recovery_all(speed);
	if (speed->fatal.code == ERR_NONE)
		consumer_assign(speed);
}

/* --- the log has been replaced ----------------------------------------------------------------- */

static void recovery_drop(struct speed *speed, struct partition *p)
{
	recovery_need(speed, p, 0); /* no reply matters any more */
	speed->keep->drop(speed, p);
}

void recovery_watch(struct speed *speed)
{
	for (int i = 0; i < speed->n_partitions; i++) {
		const struct partition *p = speed->partitions[i];

		if (!p || p->state == PARTITION_AWAY)
			watch_tail(speed->watch, i, NULL);
		else if (p->state != PARTITION_WAITING)
			watch_tail(speed->watch, i, &p->tail);
	}
	watch_differs(speed->watch, &speed->fatal);
}

void recovery_last_look(struct speed *speed)
{
	int64_t until_ms = clock_ms() + RECOVERY_LOOK_MS;
	uint64_t look = 0;

	if (speed->fatal.code != ERR_DATA || !speed->watch)
		return;
	while (!watch_differs(speed->watch, &speed->fatal) && !watch_is_over(speed->watch, &look) &&
		clock_ms() < until_ms && !speed_stop)
		clock_sleep_ms(20);
	if (!watch_differs(speed->watch, &speed->fatal))
		return;
	for (int i = 0; i < speed->n_partitions; i++) /* a topic is replaced with all its partitions */
		if (speed->partitions[i] && speed->partitions[i]->state != PARTITION_AWAY)
			recovery_drop(speed, speed->partitions[i]);
}
