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

bool recovery_adopt_arguments(const struct speed *speed, const struct pg_published *published,
	const struct partition *p, int64_t first, struct redis_adopt *ret_adopt, struct tail *ret_tail)
{
	struct redis_adopt adopt = {
		.publication = published->publication,
		.run = published->run,
		.fold = speed->fold,
		.latest = FOLD_STATE_NONE,
		.log = speed->log.identity,
		.tail = ret_tail,
		.keep_ms = speed->config.rollback_keep_ms,
	};

	tail_init(ret_tail);
	if (p->number < published->n_cuts) {
		const struct pg_cut *cut = &published->cuts[p->number];

		adopt.cut = cut->next_offset;
		adopt.latest.latest_event_ms = cut->latest_event_ms;
		adopt.latest.latest_record_ms = cut->latest_record_ms;
		if (tail_parse(cut->tail, ret_tail))
			tail_init(ret_tail);
	} else { /* not in the run: a cut once made stays, though retention moves the log's first offset */
		const struct generation *made = redis_state_run(&p->known, published->run);

		if (!made && first < 0)
			return false;
		adopt.cut = made ? made->start : first;
	}
	*ret_adopt = adopt;
	return true;
}

/* --- checks ------------------------------------------------------------------------------------ */

static int recovery_check_origin(
	const struct speed *speed, const char *what, const char *log, const char *fold, struct err *err)
{
	if (*log && strcmp(log, speed->log.identity) != 0)
		return err_set(err, ERR_DATA,
			"%s is of another log ('%s') than the one that is read ('%s') hint: was the cluster "
			"or "
			"the topic replaced? point --brokers and --topic to the old log, or start with "
			"another --name and an "
			"empty database",
			what, log, speed->log.identity);
	if (fold_version_kernel(fold) > KERNEL_VERSION)
		return err_set(err, ERR_DATA,
			"%s was made by a newer program ('%s', this one is '%s') hint: run the newer version "
			"of "
			"lambda-speed",
			what, fold, speed->fold);
	return 0;
}

int recovery_check_published(
	const struct speed *speed, const struct pg_published *published, const char *fold, struct err *err)
{
	return published->publication
		       ? recovery_check_origin(speed, "the published run", published->log, fold, err)
		       : 0;
}

static int recovery_range(
	struct speed *speed, const struct partition *p, int64_t *ret_first, int64_t *ret_end, struct err *err)
{
	return kafka_range_again(
		speed->letters.rk, speed->config.topic, p->number, SPEED_ASK_MS, ret_first, ret_end, err);
}

/* The record below the published cut too: the state may have been made of both logs before anybody noticed.
 */
static int recovery_check_tails(
	struct speed *speed, const struct pg_published *published, const struct partition *p, struct err *err)
{
	SCOPED(kafka_close) rd_kafka_t *rk = NULL;
	struct tail tails[2] = { p->known.tail };
	int n = 1;

	if (published && p->number < published->n_cuts &&
		!tail_parse(published->cuts[p->number].tail, &tails[1]) && tails[1].offset != tails[0].offset)
		n = 2;
	if (kafka_open_reader(&speed->config, &rk, err))
		return -1;
	for (int i = 0; i < n; i++)
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
			"created again or truncated hint: point --brokers and --topic to the old log, or "
			"start with another "
			"--name and an empty database",
			p->number, end, next);
	return recovery_check_tails(speed, published, p, err);
}

/* --- state ------------------------------------------------------------------------------------- */

static int recovery_read(struct speed *speed, struct partition *p, struct err *err)
{
	SCOPED(redis_reply_free) redisReply *reply = NULL;
	struct redis_view view;

	if (redis_read(speed->store.redis, p->base, "r", 1, NULL, 0, &view, &reply, err))
		return -1;
	redis_state_release(&p->known);
	p->known = view.state; /* takes it */
	view.state = (struct redis_state){ 0 };
	redis_view_release(&view);
	return p->known.present
		       ? recovery_check_origin(speed, "the state in redis", p->known.log, p->known.fold, err)
		       : 0;
}

static int recovery_send_adopt(struct speed *speed, struct partition *p, const struct redis_adopt *adopt,
	char what[16], struct err *err)
{
	struct redis_adopt_reply answer;

	if (redis_adopt(speed->store.redis, p->base, adopt, &answer, err))
		return -1;
	redis_state_release(&p->known);
	p->known = answer.state; /* takes it */
	memcpy(what, answer.what, sizeof(answer.what));
	return 0;
}

static int recovery_adopt(struct speed *speed, const struct pg_published *published, struct partition *p,
	int64_t first, char what[16], struct err *err)
{
	struct redis_adopt adopt;
	struct tail tail;

	if (recovery_check_published(speed, published, published->fold_version, err))
		return -1;
	if (!recovery_adopt_arguments(speed, published, p, first, &adopt, &tail))
		assert(0 && "the log's first offset is known");
	if (recovery_send_adopt(speed, p, &adopt, what, err))
		return -1;
	if (p->known.broken || strcmp(p->known.fold, speed->fold) == 0 || strcmp(what, "stale") == 0)
		return 0;
	log_warn("partition %d: the state has other rules ('%s', here '%s'): starting again at offset "
		 "%" PRId64,
		p->number, p->known.fold, speed->fold, adopt.cut);
	adopt.force = true;
	return recovery_send_adopt(speed, p, &adopt, what, err);
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
		from = at > from ? at : from;
	}
	*ret_from = from < p->position ? from : p->position;
	return 0;
}

static int recovery_seek(
	struct speed *speed, struct partition *p, int64_t first, int64_t end, struct err *err)
{
	int64_t from_ms, from;

	if (!partition_resume(p, &speed->config, first, &from_ms)) {
		if (recovery_horizon(speed, p, first, from_ms, &from, err))
			return -1;
		partition_warm(p, from);
	}
	speed->must_assign = true;
	p->end = end;
	p->letters_failed = false;
	if (p->lost_from < p->lost_to)
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
	struct err postgres = { 0 };
	const struct pg_published *published = published_get(speed->published, &postgres);
	char what[16] = "as it is";
	int64_t first, end;

	if (p->number >= speed->letters.n_partitions &&
		letters_ensure(&speed->letters, speed->rk, p->number + 1, err))
		return -1;
	if (recovery_range(speed, p, &first, &end, err) || recovery_read(speed, p, err))
		return -1;
	FAILPOINT("recovery.read");
	if (published && recovery_adopt(speed, published, p, first, what, err))
		return -1;
	FAILPOINT("recovery.adopted");
	if (!p->known.present || p->known.broken || strcmp(p->known.fold, speed->fold) != 0) {
		if (published)
			return err_set(err, ERR_DATABASE,
				"redis has no usable state, and postgres has an older publication than it "
				"has seen");
		return err_set(err, ERR_DATABASE,
			"%s; there is no usable state in redis, so it is not known where to begin",
			postgres.msg);
	}
	if (recovery_check_log(speed, published, p, end, err) || recovery_seek(speed, p, first, end, err))
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
	struct complaint *complaint = err->code == ERR_DATABASE ? &speed->no_postgres
				      : err->code == ERR_REDIS  ? &speed->no_redis
								: &speed->no_kafka;

	recovery_need(speed, p, SPEED_RETRY_MS);
	if (err->code == ERR_DATA || err->code == ERR_USAGE) {
		speed->fatal = *err;
		return;
	}
	if (complaint_due(complaint))
		log_warn("partition %d waits: %s; retrying", p->number, err->msg);
	if (speed->store.redis && speed->store.redis->err)
		flush_lost_redis(speed, err);
}

static void recovery_all(struct speed *speed)
{
	struct err err = { 0 };

	for (int i = 0; i < speed->n_partitions && speed->store.redis && !speed_stop; i++) {
		struct partition *p = speed->partitions[i];

		if (!p || p->state != PARTITION_WAITING || clock_ms() < p->retry_ms)
			continue;
		if (store_drain(
			    &speed->store, flush_on_reply, speed, &err)) { /* replies to others come first */
			flush_lost_redis(speed, &err);
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

/* What was flushed is of two logs. Whoever starts next begins at the published cut, whose record tells the
 * old log from the new. */
static void recovery_drop(struct speed *speed, struct partition *p)
{
	struct err err = { 0 };

	err_set(&err, ERR_REDIS, "redis is away");
	recovery_need(speed, p, 0); /* no reply matters any more */
	if (speed->store.redis && store_drain(&speed->store, flush_on_reply, speed, &err) == 0 &&
		redis_drop(speed->store.redis, p->base, &err) == 0) {
		log_warn("partition %d: removed from the speed view, which may have records of both logs",
			p->number);
		return;
	}
	log_warn("partition %d: the speed view may have records of both logs, and cannot be removed: %s; "
		 "ignoring "
		 "that hint: FCALL lambda_1_drop 1 '%s'",
		p->number, err.msg, p->base);
}

void recovery_watch(struct speed *speed)
{
	for (int i = 0; i < speed->n_partitions; i++) {
		const struct partition *p = speed->partitions[i];
		bool reads = p && (p->state == PARTITION_WARMING || p->state == PARTITION_FOLDING);

		watch_tail(speed->watch, i, reads ? &p->tail : NULL);
	}
	if (!watch_differs(speed->watch, &speed->fatal))
		return;
	for (int i = 0; i < speed->n_partitions; i++) /* a topic is replaced with all its partitions */
		if (speed->partitions[i] && speed->partitions[i]->state != PARTITION_AWAY)
			recovery_drop(speed, speed->partitions[i]);
}
