#include "common/base.h"
#include "batch/history.h"

#include "batch/batch.h"
#include "common/log.h"
#include "common/mem.h"

enum { HISTORY_TRY_MS = 1000 };

/* kafka_describe() asks again by itself, but a signal may come. */
static int history_describe(
	rd_kafka_t *rk, const struct config *config, struct kafka_log *ret_log, struct err *err)
{
	int64_t deadline_ms = clock_ms() + config->connect_wait_ms;
	bool warned = false;

	while (kafka_describe(rk, config->topic, HISTORY_TRY_MS, ret_log, err)) {
		if (batch_stop_asked())
			return batch_stopped(err);
		if (err->code != ERR_KAFKA)
			return -1;
		if (clock_ms() >= deadline_ms)
			return err_wrap(err, "cannot reach Kafka at '%s'", config->brokers);
		if (!warned)
			log_warn("%s; trying again for %" PRId64 " s", err->msg,
				config->connect_wait_ms / 1000);
		warned = true;
	}
	return 0;
}

static int history_part(struct part *part, rd_kafka_t *rk, const struct config *config,
	const struct pg_published *base, struct err *err)
{
	int64_t timeout_ms =
		config->connect_wait_ms > HISTORY_TRY_MS ? config->connect_wait_ms : HISTORY_TRY_MS;

	if (kafka_range(
		    rk, config->topic, part->partition, timeout_ms, &part->first, &part->end_at_start, err))
		return -1;
	part->base_cut =
		part->partition < base->n_cuts ? base->cuts[part->partition].next_offset : part->first;
	part->next = part->first;
	part->state = FOLD_STATE_NONE;
	tail_init(&part->tail);
	return 0;
}

/* Is it the log that the base has read? */
static int history_check_base(const struct history *history, const struct config *config,
	const struct pg_published *base, struct err *err)
{
	static const char hint[] =
		"hint: was the topic created anew, or the cluster changed? start with another --name and an "
		"empty database, or point --brokers and --topic to the old log";

	if (!base->publication)
		return 0;
	if (strcmp(base->log, history->log.identity))
		return err_set(err, ERR_DATA,
			"the published run %" PRId64 " has read the log '%s', this is '%s'; %s", base->run,
			base->log, history->log.identity, hint);
	if (base->n_cuts > history->n_parts)
		return err_set(err, ERR_DATA,
			"the published run %" PRId64 " has read %d partitions, the topic has %d; %s",
			base->run, base->n_cuts, history->n_parts, hint);
	for (int i = 0; i < base->n_cuts; i++) {
		const struct part *part = &history->parts[i];
		struct tail tail;

		if (part->end_at_start < part->base_cut)
			return err_set(err, ERR_DATA,
				"%s/%d ends at offset %" PRId64 ", the published run %" PRId64
				" has read up to %" PRId64 "; %s",
				config->topic, i, part->end_at_start, base->run, part->base_cut, hint);
		if (tail_parse(base->cuts[i].tail, &tail))
			return err_set(err, ERR_DATA,
				"the tail of run %" PRId64 " in lambda.cuts is damaged: '%s'", base->run,
				base->cuts[i].tail);
		if (kafka_check_tail(config, i, &tail, config->connect_wait_ms, err))
			return -1;
	}
	return 0;
}

static int history_check_first(struct history *history, const struct config *config, struct err *err)
{
	for (int i = 0; i < history->n_parts; i++) {
		const struct part *part = &history->parts[i];

		if (!part->first)
			continue;
		if (!config->allow_truncated_history)
			return err_set(err, ERR_DATA,
				"%s/%d begins at offset %" PRId64 ": older orders are gone, and a run "
				"without them would be too low; hint: set retention.ms=-1 on the topic; "
				"--allow-truncated-history publishes all the same, and every answer says so",
				config->topic, i, part->first);
		if (!history->truncated)
			log_warn("%s/%d begins at offset %" PRId64
				 ": going on without older orders, as allowed",
				config->topic, i, part->first);
		history->truncated = true;
	}
	return 0;
}

static int history_fill(struct history *history, rd_kafka_t *rk, const struct config *config,
	const struct pg_published *base, struct err *err)
{
	if (history_describe(rk, config, &history->log, err))
		return -1;
	history->n_parts = history->log.n_partitions;
	history->parts = xcalloc((size_t)history->n_parts, sizeof(*history->parts));
	for (int i = 0; i < history->n_parts; i++) {
		history->parts[i].partition = i;
		if (history_part(&history->parts[i], rk, config, base, err))
			return -1;
	}
	if (history_check_base(history, config, base, err))
		return -1;
	return history_check_first(history, config, err);
}

int history_open(struct history *ret_history, const struct config *config, const struct pg_published *base,
	struct err *err)
{
	SCOPED(kafka_close) rd_kafka_t *rk = NULL;
	struct history history = { 0 };
	rd_kafka_conf_t *conf;

	if (kafka_conf(config, RD_KAFKA_CONSUMER, &conf, err) ||
		kafka_open(&rk, RD_KAFKA_CONSUMER, conf, err))
		return -1;
	if (history_fill(&history, rk, config, base, err)) {
		history_release(&history);
		return -1;
	}
	*ret_history = history;
	return 0;
}

void history_release(struct history *history)
{
	free(history->parts);
	*history = (struct history){ 0 };
}
