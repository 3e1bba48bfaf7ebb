/* What goes to Redis, and what its replies mean. One pipelined write for all dirty partitions; while the
 * replies are under way the worker goes on reading. The next flush goes out when the last one is
 * acknowledged. A refused flush, and every reply that is not understood, sends the partition through the
 * recovery path. */
#include "common/base.h"
#include "speed/speed.h"

#include "common/failpoint.h"
#include "common/log.h"

/* A flush waits for the letters of what it passes. */
bool flush_waits_for_letters(const struct speed *speed)
{
	int64_t age_ms = clock_ms() - speed->flushed_ms;

	if (!speed->letters.n_waiting || age_ms < speed->config.flush_every_ms)
		return false;
	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i] && speed->partitions[i]->n_letters &&
			partition_is_dirty(speed->partitions[i]))
			return true;
	return false;
}

static int64_t flush_every_ms(const struct speed *speed)
{
	int64_t lag = 0;

	if (speed->is_full || speed->n_pending * 2 >= speed->config.pending_max)
		return speed->config.flush_every_ms;
	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i] && speed->partitions[i]->state == PARTITION_FOLDING &&
			!speed->partitions[i]->at_end)
			lag += partition_lag(speed->partitions[i]);
	return lag > speed->config.pending_max && speed->config.flush_every_ms < SPEED_CATCH_UP_MS
		       ? SPEED_CATCH_UP_MS
		       : speed->config.flush_every_ms;
}

static bool flush_is_ready(struct speed *speed, struct partition *p)
{
	if (p->letters_failed && p->state == PARTITION_FOLDING) {
		if (speed->letters.err.code != ERR_NONE && complaint_due(&speed->no_letter))
			log_warn("partition %d: %s; reading it again", p->number, speed->letters.err.msg);
		recovery_need(speed, p, SPEED_RETRY_MS);
		return false;
	}
	return partition_is_dirty(p) && p->n_letters == 0;
}

void flush_turn(struct speed *speed)
{
	struct err err = { 0 };
	int64_t now_ms = clock_ms();
	bool sent = false;

	if (!speed->store.redis || speed->store.n_flushes ||
		now_ms - speed->flushed_ms < flush_every_ms(speed))
		return;
	for (int i = 0; i < speed->n_partitions; i++) {
		struct partition *p = speed->partitions[i];

		if (!p || !flush_is_ready(speed, p))
			continue;
		speed->n_pending -= p->n_pending;
		partition_flush(p, speed->fold, &speed->store.command);
		FAILPOINT("flush.made");
		store_send(&speed->store, (struct store_owed){ STORE_FLUSH, i, p->life });
		sent = true;
	}
	if (!sent)
		return;
	speed->is_full = false;
	speed->flushed_ms = now_ms;
	FAILPOINT("flush.write");
	if (store_write(&speed->store, &err))
		flush_lost_redis(speed, &err);
	FAILPOINT("flush.sent");
}

void flush_lost_redis(struct speed *speed, const struct err *err)
{
	if (complaint_due(&speed->no_redis))
		log_warn("%s; dropping what is pending and retrying", err->msg);
	store_close(&speed->store);
	speed->connect_ms = clock_ms() + SPEED_RETRY_MS / 10;
	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i])
			recovery_need(speed, speed->partitions[i], 0);
}

/* --- replies ----------------------------------------------------------------------------------- */

static void flush_on_flush(struct speed *speed, struct partition *p, const redisReply *reply)
{
	struct redis_flush_reply answer;
	struct err err = { 0 };

	if (redis_flush_reply(reply, &answer, &err)) {
		if (complaint_due(&speed->no_redis)) /* full, or not the master any more: may last */
			log_warn("partition %d: %s; recovering", p->number, err.msg);
		recovery_need(speed, p, SPEED_RETRY_MS);
		return;
	}
	if (answer.ok) {
		FAILPOINT("flush.acknowledged");
		partition_flushed(p);
		return;
	}
	log_warn("partition %d: flush refused reason=%s expected=%" PRId64 " redis=%" PRId64 ", recovering",
		p->number, answer.reason, p->next,
		answer.state.n_generations ? redis_state_open(&answer.state)->next : -1);
	redis_state_release(&answer.state);
	recovery_need(speed, p, 0);
}

static void flush_on_adopt(struct speed *speed, struct partition *p, const redisReply *reply)
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

void flush_on_reply(void *arg, const struct store_owed *owed, const redisReply *reply)
{
	struct speed *speed = arg;
	struct partition *p = speed->partitions[owed->partition];
	struct err err = { 0 };

	if (redis_lacks_function(reply)) { /* they are loaded when connecting */
		err_set(&err, ERR_REDIS, "redis has lost its functions");
		flush_lost_redis(speed, &err);
		return;
	}
	if (owed->kind == STORE_BEAT) {
		if (reply->type == REDIS_REPLY_ERROR && complaint_due(&speed->no_redis))
			log_warn("redis refuses the heartbeat: '%s', retrying", reply->str);
		return;
	}
	if (owed->life != p->life || p->state == PARTITION_AWAY || p->state == PARTITION_WAITING)
		return; /* what was sent has been dropped since */
	if (owed->kind == STORE_FLUSH)
		flush_on_flush(speed, p, reply);
	else
		flush_on_adopt(speed, p, reply);
}
