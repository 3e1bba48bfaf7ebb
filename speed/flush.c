/* What goes to where values are kept, and what its replies mean. One write for all dirty partitions; while
 * the replies are under way the worker goes on reading. The next flush goes out when the last one is
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

	if (!speed->keep->is_open(speed) || speed->keep->is_flushing(speed) ||
		now_ms - speed->flushed_ms < flush_every_ms(speed))
		return;
	for (int i = 0; i < speed->n_partitions; i++) {
		struct partition *p = speed->partitions[i];

		if (!p || !flush_is_ready(speed, p))
			continue;
		speed->n_pending -= p->n_pending;
		speed->keep->flush(speed, p);
		FAILPOINT("flush.made");
		sent = true;
	}
	if (!sent)
		return;
	speed->is_full = false;
	speed->flushed_ms = now_ms;
	FAILPOINT("flush.write");
	if (speed->keep->write(speed, &err))
		flush_lost_keep(speed, &err);
	FAILPOINT("flush.sent");
}

void flush_lost_keep(struct speed *speed, const struct err *err)
{
	if (complaint_due(&speed->no_keep))
		log_warn("%s; dropping what is pending and retrying", err->msg);
	speed->keep->close(speed);
	speed->connect_ms = clock_ms() + SPEED_RETRY_MS / 10;
	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i])
			recovery_need(speed, speed->partitions[i], 0);
}

/* --- what the replies mean --------------------------------------------------------------------- */

void flush_done(struct partition *p)
{
	FAILPOINT("flush.acknowledged");
	partition_flushed(p);
}

void flush_refused(struct speed *speed, struct partition *p, const char *reason, int64_t next)
{
	log_warn("partition %d: flush refused reason=%s expected=%" PRId64 " %s=%" PRId64 ", recovering",
		p->number, reason, p->next, speed->keep->name, next);
	recovery_need(speed, p, 0);
}

void flush_failed(struct speed *speed, struct partition *p, const struct err *err)
{
	if (complaint_due(&speed->no_keep)) /* full, or not the master any more: may last */
		log_warn("partition %d: %s; recovering", p->number, err->msg);
	recovery_need(speed, p, SPEED_RETRY_MS);
}
