/* The speed layer's state in Redis. A flush is one function call per partition, all in one write; adopts and
 * heartbeats go the same way, and the replies come in that order. What store.h says can fail closes it.
 *
 * Loading a partition: read its state, adopt the published run. Postgres cannot be asked: the state in Redis
 * is used as it is. Where there is none (or a broken one, or one of other rules) the partition waits, for
 * "cannot ask" is not "nothing published". */
#include "common/base.h"
#include "speed/speed.h"

#include "common/failpoint.h"
#include "common/log.h"

enum {
	KEEP_REDIS_SUMS_MAX = 16384, /* more would hold Redis up for long */
	KEEP_REDIS_STALE_TICKS = PUBLISHED_FRESH_MS / SPEED_TICK_MS, /* by then the answer is a new one */
};

static int keep_redis_open(struct speed *speed, struct err *err)
{
	return store_open(&speed->store, speed->config.redis, err);
}

static void keep_redis_close(struct speed *speed)
{
	store_close(&speed->store);
}

static void keep_redis_release(struct speed *speed)
{
	store_release(&speed->store);
}

static bool keep_redis_is_open(const struct speed *speed)
{
	return speed->store.redis;
}

static bool keep_redis_is_broken(const struct speed *speed)
{
	return speed->store.redis && speed->store.redis->err;
}

static int keep_redis_fd(const struct speed *speed)
{
	return store_fd(&speed->store);
}

static bool keep_redis_is_flushing(const struct speed *speed)
{
	return speed->store.n_flushes;
}

static void keep_redis_flush(struct speed *speed, struct partition *p)
{
	struct redis_flush flush;

	partition_flush(p, speed->fold, &flush);
	values_flush(&p->pending, &speed->store.command, p->base, &flush);
	partition_sent(p);
	store_send(&speed->store, (struct store_owed){ STORE_FLUSH, p->number, p->life });
}

static int keep_redis_write(struct speed *speed, struct err *err)
{
	return store_write(&speed->store, err);
}

/* --- replies ----------------------------------------------------------------------------------- */

/* Somebody has loaded other functions under the name of ours: another build, by mistake. What they did with
 * the flushes that are on their way is not known, so these partitions start again at the published cut. */
static void keep_redis_foreign(struct speed *speed)
{
	struct err err = { 0 };

	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i])
			speed->partitions[i]->foreign |= speed->partitions[i]->sent != 0;
	err_set(&err, ERR_REDIS,
		"somebody has put other functions in the place of ours into redis; hint: programs of two "
		"builds must not share a redis");
	flush_lost_keep(speed, &err); /* ours are loaded when connecting */
}

static void keep_redis_on_flush(struct speed *speed, struct partition *p, const redisReply *reply)
{
	struct redis_flush_reply answer;
	struct err err = { 0 };

	if (redis_flush_reply(reply, &answer, &err)) {
		flush_failed(speed, p, &err);
		return;
	}
	if (answer.foreign) {
		keep_redis_foreign(speed);
		return;
	}
	if (answer.ok) {
		flush_done(p);
		return;
	}
	flush_refused(speed, p, answer.reason,
		answer.state.n_generations ? redis_state_open(&answer.state)->next : -1);
	redis_state_release(&answer.state);
}

static void keep_redis_on_adopt(struct speed *speed, struct partition *p, const redisReply *reply)
{
	struct redis_adopt_reply answer;
	struct err err = { 0 };
	int64_t next;

	if (redis_adopt_reply(reply, &answer, &err)) {
		log_warn("partition %d: %s; recovering", p->number, err.msg);
		recovery_need(speed, p, SPEED_RETRY_MS);
		return;
	}
	next = answer.state.n_generations ? redis_state_open(&answer.state)->next : -1;
	redis_state_release(&p->known);
	p->known = answer.state; /* takes it */
	/* replies come in order: a flush that was sent before has been answered, one sent since has not
	 * changed this yet */
	if (answer.state.broken || next != p->next || strcmp(answer.what, "other_log") == 0) {
		log_info("partition %d: adopt says %s next=%" PRId64 " had=%" PRId64 ", recovering",
			p->number, answer.what, next, p->next);
		recovery_need(speed, p, 0);
	}
}

static void keep_redis_on_reply(void *arg, const struct store_owed *owed, const redisReply *reply)
{
	struct speed *speed = arg;
	struct partition *p = speed->partitions[owed->partition];
	struct err err = { 0 };

	if (redis_lacks_function(reply)) { /* they are loaded when connecting */
		err_set(&err, ERR_REDIS, "redis has lost its functions");
		flush_lost_keep(speed, &err);
		return;
	}
	if (owed->kind == STORE_BEAT) {
		if (reply->type == REDIS_REPLY_ERROR && complaint_due(&speed->no_keep))
			log_warn("redis refuses the heartbeat: '%s', retrying", reply->str);
		return;
	}
	if (owed->life != p->life || p->state == PARTITION_AWAY || p->state == PARTITION_WAITING)
		return; /* what was sent has been dropped since */
	if (owed->kind == STORE_FLUSH)
		keep_redis_on_flush(speed, p, reply);
	else
		keep_redis_on_adopt(speed, p, reply);
}

static int keep_redis_read(struct speed *speed, int timeout_ms, struct err *err)
{
	return store_read(&speed->store, timeout_ms, keep_redis_on_reply, speed, err);
}

static int keep_redis_drain(struct speed *speed, struct err *err)
{
	return store_drain(&speed->store, keep_redis_on_reply, speed, err);
}

/* --- adopt -------------------------------------------------------------------------------------- */

/* The run, if there is one, is of this log, and `fold` not of a newer program: else ERR_DATA. */
static int keep_redis_check_published(
	const struct speed *speed, const struct pg_published *published, const char *fold, struct err *err)
{
	return published->publication
		       ? recovery_check_origin(speed, "the published run", published->log, fold, err)
		       : 0;
}

/* What adopt needs; false when there is no published run to adopt (any more). first: the log's first offset,
 * or -1. */
static bool keep_redis_adopt_arguments(const struct speed *speed, const struct pg_published *published,
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

/* --- once a second ------------------------------------------------------------------------------ */

static void keep_redis_beat(struct speed *speed, struct partition *p)
{
	struct redis_beat beat;

	progress_beat(speed, p, &beat);
	for (int i = 0; i < 2; i++) {
		redis_beat_command(&speed->store.command, p->base, &beat, i);
		store_send(&speed->store, (struct store_owed){ STORE_BEAT, p->number, p->life });
	}
}

static void keep_redis_adopt(struct speed *speed, const struct pg_published *published, struct partition *p)
{
	struct redis_adopt adopt;
	struct tail tail;

	if (published->publication < p->known.seen) { /* it would be refused as stale */
		if (++p->n_stale > KEEP_REDIS_STALE_TICKS && complaint_due(&speed->stale))
			log_warn("partition %d: redis has seen publication %" PRId64 ", postgres has %" PRId64
				 "; going on without it; hint: if "
				 "the database was restored from an older backup, FCALL lambda_1_drop 1 '%s'",
				p->number, p->known.seen, published->publication, p->base);
		return;
	}
	p->n_stale = 0;
	if (!keep_redis_adopt_arguments(speed, published, p, -1, &adopt, &tail)) {
		recovery_need(speed, p, 0); /* a run without this partition has been published */
		return;
	}
	redis_adopt_command(&speed->store.command, p->base, &adopt);
	store_send(&speed->store, (struct store_owed){ STORE_ADOPT, p->number, p->life });
}

static int keep_redis_tick(struct speed *speed, struct err *err)
{
	struct err why = { 0 };
	const struct pg_published *published = published_get(speed->published, &why);

	if (!published && complaint_due(&speed->no_postgres))
		log_warn("%s; going on with the state in redis, retrying", why.msg);
	if (published && complaint_over(&speed->no_postgres))
		log_info("postgres answers");
	if (published && keep_redis_check_published(speed, published, "", &speed->fatal))
		return 0; /* its cuts are not of this log */
	for (int i = 0; i < speed->n_partitions; i++) {
		if (!progress_is_ours(speed->partitions[i]))
			continue;
		keep_redis_beat(speed, speed->partitions[i]);
		if (published)
			keep_redis_adopt(speed, published, speed->partitions[i]);
	}
	return store_write(&speed->store, err);
}

/* --- load ------------------------------------------------------------------------------------- */

static int keep_redis_read_state(struct speed *speed, struct partition *p, struct err *err)
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

static int keep_redis_send_adopt(struct speed *speed, struct partition *p, const struct redis_adopt *adopt,
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

static int keep_redis_adopt_now(struct speed *speed, const struct pg_published *published,
	struct partition *p, int64_t first, char what[16], struct err *err)
{
	struct redis_adopt adopt;
	struct tail tail;

	if (keep_redis_check_published(speed, published, published->fold_version, err))
		return -1;
	if (!keep_redis_adopt_arguments(speed, published, p, first, &adopt, &tail))
		assert(0 && "the log's first offset is known");
	if (keep_redis_send_adopt(speed, p, &adopt, what, err))
		return -1;
	if (p->known.broken || strcmp(p->known.fold, speed->fold) == 0 || strcmp(what, "stale") == 0)
		return 0;
	log_warn("partition %d: the state has other rules ('%s', here '%s'): starting again at offset "
		 "%" PRId64,
		p->number, p->known.fold, speed->fold, adopt.cut);
	adopt.force = true;
	return keep_redis_send_adopt(speed, p, &adopt, what, err);
}

static int keep_redis_load(
	struct speed *speed, struct partition *p, int64_t first, char what[16], struct err *err)
{
	struct err postgres = { 0 };
	const struct pg_published *published = published_get(speed->published, &postgres);

	if (p->foreign && redis_drop(speed->store.redis, p->base, err))
		return -1;
	p->foreign = false;
	if (keep_redis_read_state(speed, p, err))
		return -1;
	FAILPOINT("recovery.read");
	if (published && keep_redis_adopt_now(speed, published, p, first, what, err))
		return -1;
	FAILPOINT("recovery.adopted");
	if (p->known.present && !p->known.broken && strcmp(p->known.fold, speed->fold) == 0)
		return 0;
	if (published)
		return err_set(err, ERR_DATABASE,
			"redis has no usable state, and postgres has an older publication than it has seen");
	return err_set(err, ERR_DATABASE,
		"%s; there is no usable state in redis, so it is not known where to begin", postgres.msg);
}

/* Whoever starts next begins at the published cut, whose record tells the old log from the new. */
static void keep_redis_drop(struct speed *speed, struct partition *p)
{
	struct err err = { 0 };

	err_set(&err, ERR_REDIS, "redis is away");
	if (speed->store.redis && keep_redis_drain(speed, &err) == 0 &&
		redis_drop(speed->store.redis, p->base, &err) == 0) {
		log_warn("partition %d: removed from the speed view, which may have records of both logs",
			p->number);
		return;
	}
	log_warn("partition %d: the speed view may have records of both logs, and cannot be removed: %s; "
		 "ignoring that; hint: FCALL lambda_1_drop 1 '%s'",
		p->number, err.msg, p->base);
}

const struct keep keep_redis = {
	.name = "redis",
	.sums_max = KEEP_REDIS_SUMS_MAX,
	.open = keep_redis_open,
	.close = keep_redis_close,
	.release = keep_redis_release,
	.is_open = keep_redis_is_open,
	.is_broken = keep_redis_is_broken,
	.fd = keep_redis_fd,
	.is_flushing = keep_redis_is_flushing,
	.flush = keep_redis_flush,
	.write = keep_redis_write,
	.read = keep_redis_read,
	.drain = keep_redis_drain,
	.tick = keep_redis_tick,
	.load = keep_redis_load,
	.drop = keep_redis_drop,
};
