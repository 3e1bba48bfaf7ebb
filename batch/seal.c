/* Happy path: connect; wait until each partition's open generation has reached the log's end of the run's
 * start; seal; read the closed generations. Failure modes:
 * - Redis away, full, without functions: a warning, every partition unsealed
 * - no state, or one of another log: that partition unsealed
 * - no speed at work (no heartbeat): nobody to wait for; sealed if its state has reached the end
 * - speed too slow: the partition unsealed after seal_wait
 * - the answer to a seal is lost: unsealed; adopting starts the partition again at the run's cut
 * - a younger run has sealed: ERR_SUPERSEDED, this one could not be published any more
 * - generations do not join the base: what speed said is not known, its rules stand for it */
#include "common/base.h"
#include "batch/seal.h"

#include "batch/batch.h"
#include "common/failpoint.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/redis_handover.h"
#include "common/redis_values.h"

enum { SEAL_REDIS_MS = 2000, SEAL_POLL_MS = 20, SEAL_CHUNKS = 200 };

#define HOUR_MS (INT64_C(60) * MINUTE_MS)

static void seal_base(const struct seal *seal, const struct part *part, char base[REDIS_BASE_MAX])
{
	redis_base(base, seal->config->name, seal->config->topic, part->partition);
}

/* --- waiting and sealing --- */

enum seal_ready { SEAL_READY, SEAL_WAIT, SEAL_NEVER };

static enum seal_ready seal_ready_state(
	const struct seal *seal, const struct part *part, const struct redis_view *view)
{
	const struct redis_state *state = &view->state;

	if (!state->present || state->broken)
		return SEAL_NEVER;
	if (state->log[0] && strcmp(state->log, seal->log)) {
		log_warn("partition %d: the speed view is of another log, '%s'; not sealed",
			(int)part->partition, state->log);
		return SEAL_NEVER;
	}
	if (redis_state_open(state)->next >= part->end_at_start)
		return SEAL_READY;
	return view->beat.present ? SEAL_WAIT : SEAL_NEVER;
}

/* Cluster and topic may have the old names, but a state of a log that is gone has no place in this one. */
static bool seal_same_log(const struct seal *seal, const struct part *part, const struct redis_state *state)
{
	struct err err;

	if (!kafka_check_tail(
		    seal->config, part->partition, &state->tail, seal->config->connect_wait_ms, &err))
		return true;
	log_warn("%s; the speed view is not used, and partition %d is not sealed", err.msg,
		(int)part->partition);
	return false;
}

static int seal_ready(const struct seal *seal, redisContext *redis, const struct part *part,
	enum seal_ready *ret_ready, bool *ret_present, struct err *err)
{
	SCOPED(redis_reply_free) redisReply *reply = NULL;
	struct redis_view view;
	char base[REDIS_BASE_MAX];

	seal_base(seal, part, base);
	if (redis_read(redis, base, "r", 1, NULL, 0, &view, &reply, err))
		return -1;
	*ret_ready = seal_ready_state(seal, part, &view);
	if (*ret_ready == SEAL_READY && !seal_same_log(seal, part, &view.state))
		*ret_ready = SEAL_NEVER;
	*ret_present |= view.state.present;
	redis_view_release(&view);
	return 0;
}

/* 1: sealed; 0: it stays unsealed */
static int seal_part(const struct seal *seal, redisContext *redis, struct part *part, struct err *err)
{
	struct redis_seal_reply reply;
	char base[REDIS_BASE_MAX];

	seal_base(seal, part, base);
	if (redis_seal(redis, base, seal->run, &reply, err))
		return -1;
	FAILPOINT("seal.part");
	if (reply.ok) {
		part->cut = reply.cut;
		part->sealed = true;
		return 1;
	}
	if (!strcmp(reply.reason, "superseded"))
		return err_set(err, ERR_SUPERSEDED,
			"a younger run than %" PRId64 " has sealed partition %d; nothing was published",
			seal->run, (int)part->partition);
	return 0;
}

/* Partitions are sealed as they get there, so that one that lags does not hold up the others. */
static int seal_parts(const struct seal *seal, redisContext *redis, bool *ret_present, struct err *err)
{
	SCOPED(xfreep) bool *done = xcalloc((size_t)seal->n_parts, sizeof(*done));
	int64_t deadline_ms = clock_ms() + seal->config->seal_wait_ms;
	int left = seal->n_parts;
	bool told = false;

	for (;;) {
		bool over = clock_ms() >= deadline_ms;

		for (int i = 0; i < seal->n_parts; i++) {
			enum seal_ready ready;

			if (done[i])
				continue;
			if (seal_ready(seal, redis, &seal->parts[i], &ready, ret_present, err))
				return -1;
			if (ready == SEAL_READY && seal_part(seal, redis, &seal->parts[i], err) < 0)
				return -1;
			done[i] = ready != SEAL_WAIT;
			left -= done[i];
		}
		if (!left || over)
			break;
		if (!told)
			log_info("waiting for speed to reach the log's end in %d partitions, for %" PRId64
				 " ms at most",
				left, seal->config->seal_wait_ms);
		told = true;
		if (batch_stop_asked())
			return batch_stopped(err);
		batch_sleep_ms(SEAL_POLL_MS);
	}
	if (left)
		log_warn("%d of %d partitions are not sealed: speed did not reach the log's end in %" PRId64
			 " ms",
			left, seal->n_parts, seal->config->seal_wait_ms);
	return 0;
}

/* --- what speed said --- */

/* Do the generations between the base's cut and the new one say it all? */
static bool seal_joins(const struct seal *seal, const struct part *part, const struct redis_state *state)
{
	size_t n = 0;

	while (n < state->n_generations && state->generations[n].run < seal->run)
		n++;
	for (size_t i = 0; i < state->n_lost; i++)
		if (state->lost[i].run >= seal->base_run && state->lost[i].run < seal->run)
			return false;
	return n && state->generations[n - 1].next == part->cut &&
	       handover_join(state->generations, n, seal->base_run, part->base_cut) >= 0;
}

static int seal_hear_chunk(const struct seal *seal, const struct part *part, const struct redis_chunk *chunk,
	struct ledger *ledger, struct err *err)
{
	for (size_t i = 0; i < chunk->n_fields; i++) {
		int minute, currency;
		struct text field;
		int64_t value, ms;
		char what;

		if (redis_chunk_field(chunk, i, &field, &value) ||
			redis_revenue_field(field, &minute, &currency, &what))
			return err_set(err, ERR_DATA, "a value of the speed view is none");
		if (chunk->number < DATETIME_MIN_MS / HOUR_MS || chunk->number >= DATETIME_END_MS / HOUR_MS)
			return err_set(err, ERR_DATA, "a value of the speed view is of no day");
		ms = chunk->number * HOUR_MS + minute * MINUTE_MS;
		if (what == 'g' || what == 'r') {
			struct ledger_key key = { calendar_day(&seal->config->calendar, ms), currency,
				LEDGER_SAID, part->partition };

			if (ledger_add(ledger, key, what == 'g' ? value + PLANTED(PLANT_CORRECTION) : -value,
				    0, err))
				return -1;
		}
	}
	return 0;
}

/* One page of the generations from the base run's on. Their chunks go to *ledger, and `since` moves on. */
static int seal_hear_page(const struct seal *seal, const struct part *part, const struct redis_view *view,
	struct redis_since **since, size_t *n_since, struct ledger *ledger, bool *ret_complete,
	struct err *err)
{
	size_t n = 0;

	*ret_complete = true;
	*since = xreallocarray(*since, view->n_generations + 1, sizeof(**since));
	for (size_t i = 0; i < view->n_generations; i++) {
		const struct redis_generation_view *generation = &view->generations[i];

		if (generation->run >= seal->run)
			continue;
		for (size_t j = 0; j < generation->n_chunks; j++)
			if (generation->chunks[j].kind == 'r' &&
				seal_hear_chunk(seal, part, &generation->chunks[j], ledger, err))
				return -1;
		*ret_complete &= generation->complete;
		(*since)[n++] = (struct redis_since){ generation->run, generation->upto };
	}
	*n_since = n;
	return 0;
}

/* Reads what speed said for [base_cut, cut); speed_known stays false when its generations do not join. */
static int seal_hear_part(const struct seal *seal, redisContext *redis, struct part *part,
	struct ledger *ledger, struct err *err)
{
	SCOPED(xfreep) struct redis_since *since = xcalloc(1, sizeof(*since));
	size_t n_since = 1;
	bool complete = false, joins = true;
	char base[REDIS_BASE_MAX];
	int failed = 0;

	seal_base(seal, part, base);
	since[0] = (struct redis_since){ seal->base_run, 0 };
	while (!complete && joins && !failed) {
		SCOPED(redis_reply_free) redisReply *reply = NULL;
		struct redis_view view;

		if (redis_read(redis, base, "r", SEAL_CHUNKS, since, n_since, &view, &reply, err))
			return -1;
		joins = seal_joins(seal, part, &view.state);
		part->speed_other_fold = strcmp(view.state.fold, seal->fold) ||
					 (seal->base_fold[0] && strcmp(seal->base_fold, seal->fold));
		if (joins)
			failed = seal_hear_page(seal, part, &view, &since, &n_since, ledger, &complete, err);
		redis_view_release(&view);
	}
	part->speed_known = !failed && joins;
	return failed;
}

/* Into a ledger of its own first: half of what speed said would be worse than nothing. */
static int seal_hear(const struct seal *seal, redisContext *redis, struct ledger *ledger, struct err *err)
{
	for (int i = 0; i < seal->n_parts; i++) {
		struct part *part = &seal->parts[i];
		struct ledger said;
		int failed;

		if (!part->sealed)
			continue;
		ledger_init(&said);
		failed = seal_hear_part(seal, redis, part, &said, err);
		if (part->speed_known)
			failed = ledger_merge(ledger, &said, err);
		part->speed_known &= !failed;
		ledger_release(&said);
		if (failed)
			return -1;
	}
	return 0;
}

/* --- without Kafka --- */

/* Where speed is; for whoever must know whether the run would take back what it has counted. */
static int seal_look(const struct seal *seal, redisContext *redis, bool *ret_present, struct err *err)
{
	for (int i = 0; i < seal->n_parts; i++) {
		SCOPED(redis_reply_free) redisReply *reply = NULL;
		struct part *part = &seal->parts[i];
		struct redis_view view;
		char base[REDIS_BASE_MAX];

		seal_base(seal, part, base);
		if (redis_read(redis, base, "r", 1, NULL, 0, &view, &reply, err))
			return -1;
		*ret_present |= view.state.present;
		if (view.state.present && !view.state.broken && !strcmp(view.state.log, seal->log))
			part->speed_next = redis_state_open(&view.state)->next;
		redis_view_release(&view);
	}
	return 0;
}

int seal_take_cut(const struct seal *seal, struct ledger *ledger, bool *ret_answered, struct err *err)
{
	SCOPED(redis_close) redisContext *redis = NULL;
	bool present = false;

	*ret_answered = true;
	for (int i = 0; i < seal->n_parts; i++)
		seal->parts[i].cut = seal->parts[i].end_at_start;
	if (redis_open(seal->config->redis, SEAL_REDIS_MS, &redis, err)) {
		log_warn("%s; the run goes on without the speed view", err->msg);
		return 0;
	}
	if (seal->without_kafka ? seal_look(seal, redis, &present, err)
				: seal_parts(seal, redis, &present, err)) {
		if (err->code == ERR_SUPERSEDED || err->code == ERR_STOPPED)
			return -1;
		log_warn("%s; the run goes on, not all partitions are sealed", err->msg);
		return 0;
	}
	*ret_answered = seal->base_run || present;
	if (*ret_answered && seal_hear(seal, redis, ledger, err))
		log_warn("%s; corrections compare with what speed's rules give", err->msg);
	return 0;
}

/* --- adopting --- */

static int seal_adopt_part(const struct seal *seal, redisContext *redis, const struct part *part,
	int64_t publication, struct err *err)
{
	const struct redis_adopt adopt = { .publication = publication,
		.run = seal->run,
		.cut = part->cut,
		.fold = seal->fold,
		.latest = part->state,
		.log = seal->log,
		.tail = &part->tail,
		.keep_ms = seal->config->rollback_keep_ms };
	struct redis_adopt_reply reply;
	char base[REDIS_BASE_MAX];

	seal_base(seal, part, base);
	if (redis_adopt(redis, base, &adopt, &reply, err))
		return -1;
	FAILPOINT("adopt.part");
	if (!strcmp(reply.what, "stale") || !strcmp(reply.what, "other_log"))
		log_warn("partition %d of the speed view does not take over the publication: %s",
			(int)part->partition, reply.what);
	else if (strcmp(reply.what, "same"))
		log_info("partition %d of the speed view: %s", (int)part->partition, reply.what);
	redis_state_release(&reply.state);
	return 0;
}

void seal_adopt(const struct seal *seal, int64_t publication)
{
	SCOPED(redis_close) redisContext *redis = NULL;
	struct err err;

	if (redis_open(seal->config->redis, SEAL_REDIS_MS, &redis, &err)) {
		log_warn("%s; speed will find out by itself what is published", err.msg);
		return;
	}
	for (int i = 0; i < seal->n_parts; i++) {
		if (seal_adopt_part(seal, redis, &seal->parts[i], publication, &err)) {
			log_warn("%s; speed will find out by itself what is published", err.msg);
			return;
		}
	}
}
