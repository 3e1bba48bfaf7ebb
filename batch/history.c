#include "common/base.h"
#include "batch/history.h"

#include "batch/archive_check.h"
#include "batch/batch.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/plan.h"

enum { HISTORY_TRY_MS = 1000, HISTORY_PEEK_MS = 5000, HISTORY_NAMED = 5 };

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

static const char history_hint[] = "hint: was the topic created anew, or the cluster changed? start with "
				   "another --name and an empty database, or "
				   "point --brokers and --topic to the old log";

/* --- where the log is --- */

/* What lies nowhere any more goes to *holes; part->first stands behind what is missing at the beginning. */
static void history_plan(struct part *part, struct ranges *holes)
{
	struct plan_piece piece = plan_at(part->archive, part->kafka_first, 0);

	for (; piece.source == PLAN_FILE || piece.source == PLAN_GONE;
		piece = plan_at(part->archive, part->kafka_first, piece.to)) {
		if (piece.source == PLAN_FILE)
			continue;
		ranges_add(holes, (struct range){ part->partition, piece.from, piece.to });
		if (!piece.from)
			part->first = piece.to;
	}
}

static int history_part(struct history *history, struct part *part, rd_kafka_t *rk,
	const struct config *config, const struct pg_published *base, struct err *err)
{
	int64_t timeout_ms =
		config->connect_wait_ms > HISTORY_TRY_MS ? config->connect_wait_ms : HISTORY_TRY_MS;
	bool known = part->partition < base->n_cuts;

	if (part->partition < history->archive.n_parts)
		part->archive = &history->archive.parts[part->partition];
	part->kafka_first = -1;
	if (!rk)
		part->end_at_start = archive_part_end(part->archive);
	else if (kafka_range(rk, config->topic, part->partition, timeout_ms, &part->kafka_first,
			 &part->end_at_start, err))
		return -1;
	tail_init(&part->base_tail);
	if (known && tail_parse(base->cuts[part->partition].tail, &part->base_tail))
		return err_set(err, ERR_DATA, "the tail of run %" PRId64 " in lambda.cuts is damaged: '%s'",
			base->run, base->cuts[part->partition].tail);
	part->base_cut = known ? base->cuts[part->partition].next_offset : 0;
	part->state = FOLD_STATE_NONE;
	tail_init(&part->tail);
	return 0;
}

/* --- is it the same log? --- */

static int history_check_base_part(const struct part *part, const struct config *config,
	const struct pg_published *base, struct err *err)
{
	if (part->end_at_start < part->base_cut && part->kafka_first < 0)
		return err_set(err, ERR_DATA,
			"the archive of %s/%d ends at offset %" PRId64 ", the published run %" PRId64
			" has read up to %" PRId64
			": a run from it would take orders back; hint: 'lambda-batch archive' "
			"first, or read Kafka too (--source=kafka)",
			config->topic, (int)part->partition, part->end_at_start, base->run, part->base_cut);
	if (part->end_at_start < part->base_cut)
		return err_set(err, ERR_DATA,
			"%s/%d ends at offset %" PRId64 ", the published run %" PRId64
			" has read up to %" PRId64 "; %s",
			config->topic, (int)part->partition, part->end_at_start, base->run, part->base_cut,
			history_hint);
	return part->kafka_first < 0 ? 0
				     : kafka_check_tail(config, part->partition, &part->base_tail,
					       config->connect_wait_ms, err);
}

/* Is it the log that the base has read? (What the archive has of it is checked while it is read.) */
static int history_check_base(const struct history *history, const struct config *config,
	const struct pg_published *base, struct err *err)
{
	if (!base->publication)
		return 0;
	if (strcmp(base->log, history->log.identity))
		return err_set(err, ERR_DATA,
			"the published run %" PRId64 " has read the log '%s', this is '%s'; %s", base->run,
			base->log, history->log.identity, history_hint);
	if (base->n_cuts > history->n_parts)
		return err_set(err, ERR_DATA,
			"the published run %" PRId64 " has read %d partitions, the %s has %d; %s", base->run,
			base->n_cuts, history->archive_only ? "archive" : "topic", history->n_parts,
			history_hint);
	for (int i = 0; i < base->n_cuts; i++)
		if (history_check_base_part(&history->parts[i], config, base, err))
			return -1;
	return 0;
}

/* Does Kafka have the log that was archived? */
static int history_check_archive(const struct history *history, const struct config *config, struct err *err)
{
	if (!history->archive.present || history->archive_only)
		return 0;
	return archive_check_log(&history->archive, config, &history->log, err);
}

/* --- what is missing --- */

/* A hole that reaches from below the cut of the run that is replayed, whose ids stand for what is there. */
static bool history_is_clipped(const struct history *history, const struct range *hole)
{
	return hole->from && hole->from == history->parts[hole->partition].known;
}

static int history_missing(const struct history *history, const struct ranges *missing, bool shrinks,
	const struct config *config, struct err *err)
{
	struct ranges named = { missing->at, missing->n < HISTORY_NAMED ? missing->n : HISTORY_NAMED };
	SCOPED(xfreep) char *text = ranges_text(&named);

	return err_set(err, ERR_DATA,
		"orders of '%s' are gone: offsets %s%s are not in Kafka%s, and a run without them would be "
		"too low%s; hint: "
		"--accept-lost=%" PRId32 ":%" PRId64 "-%" PRId64
		" (one for each range)%s publishes all the same, and every answer "
		"says so%s",
		config->topic, text, missing->n > named.n ? " ..." : "",
		*config->archive ? " and not in the archive" : ", and there is no --archive",
		shrinks ? " (history shrinks: the published run has read some of them; is the archive's disk "
			  "mounted?)"
			: "",
		missing->at[0].partition, missing->at[0].from, missing->at[0].to,
		missing->at[0].from || shrinks ? ""
					       : ", or --allow-truncated-history where a log begins late,",
		history_is_clipped(history, &missing->at[0])
			? "; or lambda-batch run --allow-truncated-history, which takes nothing over"
			: "");
}

/* What Kafka keeps begins later every day. An archive does not, unless it is not there. */
static bool history_shrinks(
	const struct range *hole, const struct config *config, const struct pg_published *base)
{
	return *config->archive && !hole->from && hole->partition < base->n_cuts &&
	       hole->to > base->cuts[hole->partition].first_offset;
}

int history_check_holes(struct history *history, const struct config *config, const struct pg_published *base,
	struct err *err)
{
	struct ranges missing = { 0 };
	bool shrinks = false;
	int failed = 0;

	for (size_t i = 0; i < history->holes.n; i++) {
		struct range hole = history->holes.at[i];

		if (hole.from >= hole.to)
			continue;
		if (ranges_have(&config->accept_lost, hole)) {
			log_warn("%s/%d has lost the offsets from %" PRId64 " to %" PRId64
				 ": going on without them, as accepted",
				config->topic, (int)hole.partition, hole.from, hole.to);
			ranges_add(&history->lost, hole);
		} else if (!hole.from && config->allow_truncated_history &&
			   !history_shrinks(&hole, config, base)) {
			log_warn("%s/%d begins at offset %" PRId64
				 ": going on without older orders, as allowed",
				config->topic, (int)hole.partition, hole.to);
			history->truncated = true;
		} else {
			ranges_add(&missing, hole);
			shrinks |= history_shrinks(&hole, config, base);
		}
	}
	if (missing.n)
		failed = history_missing(history, &missing, shrinks, config, err);
	ranges_release(&missing);
	return failed;
}

static void history_find_first(struct history *history, const struct pg_published *base)
{
	for (int i = 0; i < history->n_parts; i++) {
		struct part *part = &history->parts[i];

		history_plan(part, &history->holes);
		part->next = part->first;
		if (i >= base->n_cuts)
			part->base_cut = part->first;
	}
}

/* --- opening --- */

/* rk: NULL without Kafka. The archive is looked at before Kafka is asked where it ends, so it cannot be
 * ahead. */
static int history_fill(struct history *history, rd_kafka_t *rk, const struct config *config,
	const struct pg_published *base, struct err *err)
{
	if (*config->archive && archive_open(config->archive, config->topic, &history->archive, err))
		return -1;
	if (!rk && !history->archive.present)
		return err_set(err, ERR_NO_INPUT,
			"--source=archive: there is no archive of '%s' in '%s'; hint: --archive=ROOT names "
			"where it is",
			config->topic, config->archive);
	if (*config->archive && !history->archive.present)
		log_warn("there is no archive of '%s' in '%s' yet; reading Kafka alone", config->topic,
			config->archive);
	if (!rk) {
		snprintf(history->log.identity, sizeof(history->log.identity), "%s",
			history->archive.note.log);
		history->log.n_partitions = history->archive.n_parts;
	} else if (history_describe(rk, config, &history->log, err)) {
		return -1;
	}
	history->n_parts = history->log.n_partitions;
	history->parts = xcalloc((size_t)history->n_parts, sizeof(*history->parts));
	for (int i = 0; i < history->n_parts; i++) {
		history->parts[i].partition = i;
		if (history_part(history, &history->parts[i], rk, config, base, err))
			return -1;
	}
	if (history_check_base(history, config, base, err) || history_check_archive(history, config, err))
		return -1;
	if (rk && history->archive.present)
		archive_warn_retention(&history->archive, rk, config);
	history_find_first(history, base);
	return 0;
}

int history_open(struct history *ret_history, const struct config *config, const struct pg_published *base,
	struct err *err)
{
	SCOPED(kafka_close) rd_kafka_t *rk = NULL;
	struct history history = { .archive_only = !strcmp(config->source, "archive") };
	rd_kafka_conf_t *conf;

	if (!history.archive_only && (kafka_conf(config, RD_KAFKA_CONSUMER, &conf, err) ||
					     kafka_open(&rk, RD_KAFKA_CONSUMER, conf, err)))
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
	archive_release(&history->archive);
	ranges_release(&history->holes);
	ranges_release(&history->lost);
	free(history->parts);
	*history = (struct history){ 0 };
}

/* --- without Kafka --- */

static int history_check_ahead_part(
	const struct part *part, rd_kafka_t *rk, const struct config *config, struct err *err)
{
	int64_t first, end;

	if (kafka_range(rk, config->topic, part->partition, HISTORY_PEEK_MS, &first, &end, err))
		return err_wrap(err,
			"the archive of %s/%d ends at offset %" PRId64 ", speed has counted up to %" PRId64
			" and would have to read that again, which cannot be done now; hint: run it when "
			"Kafka is "
			"back, or for another --name and database",
			config->topic, (int)part->partition, part->cut, part->speed_next);
	if (first <= part->cut)
		return 0;
	return err_set(err, ERR_DATA,
		"the archive of %s/%d ends at offset %" PRId64 ", Kafka begins at %" PRId64
		", speed has counted up to %" PRId64
		": a run from the archive alone would lose what lies between; hint: "
		"'lambda-batch archive', or --source=kafka",
		config->topic, (int)part->partition, part->cut, first, part->speed_next);
}

int history_check_ahead(const struct history *history, const struct config *config, struct err *err)
{
	SCOPED(kafka_close) rd_kafka_t *rk = NULL;
	rd_kafka_conf_t *conf;

	for (int i = 0; i < history->n_parts; i++) {
		const struct part *part = &history->parts[i];

		if (part->speed_next <= part->cut)
			continue;
		if (!rk && (kafka_conf(config, RD_KAFKA_CONSUMER, &conf, err) ||
				   kafka_open(&rk, RD_KAFKA_CONSUMER, conf, err)))
			return -1;
		if (history_check_ahead_part(part, rk, config, err))
			return -1;
	}
	return 0;
}
