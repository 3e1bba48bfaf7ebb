#include "common/base.h"
#include "batch/replay.h"

#include "batch/archive_source.h"
#include "batch/batch.h"
#include "batch/database.h"
#include "batch/kafka_source.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"

/* --- which run --- */

/* YYYY-MM-DDTHH:MM[:SS], in the business time zone, or with Z or an offset behind it. */
static bool replay_is_time(const char *text)
{
	static const char form[] = "0000-00-00T00:00:00";
	size_t len = 0;

	while (text[len] && form[len] &&
		(form[len] == '0' ? text[len] >= '0' && text[len] <= '9' : text[len] == form[len]))
		len++;
	return (len == 16 || len == 19) && strlen(text + len) <= 6 &&
	       strspn(text + len, "Z+-0123456789:") == strlen(text + len);
}

/* Postgres knows the zones. */
static int replay_time(const struct config *config, PGconn *conn, int64_t *ret_ms, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	const char *const params[] = { config->replay_from, config->calendar.zone };

	if (replay_is_time(config->replay_from)) {
		if (!pg_exec(conn, sql_replay_time, 2, params, &result, err)) {
			*ret_ms = pg_number(result, 0, 0);
			return 0;
		}
		if (database_lost(conn))
			return -1;
	}
	return err_set(err, ERR_USAGE,
		"--from: '%.40s' is no time; expected YYYY-MM-DDTHH:MM, in the business time zone or with an "
		"offset such "
		"as Z behind it: when the first wrong order arrived, or before",
		config->replay_from);
}

static int replay_none(const struct config *config, struct err *err)
{
	if (config->replay_base)
		return err_set(err, ERR_DATA,
			"run %" PRId64
			" is no base for a replay from %s: it is not there, was never published, was pruned, "
			"has other settings, or has records from then on; hint: lambda-batch status; without "
			"--base a fitting "
			"run is looked for; lambda-batch run needs none",
			config->replay_base, config->replay_from);
	return err_set(err, ERR_DATA,
		"no run that is kept ends before %s: a replay has nothing to go on from; hint: lambda-batch "
		"run computes "
		"everything anew",
		config->replay_from);
}

static int replay_load_cuts(struct replay *replay, PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, replay->run) };

	if (pg_exec(conn, sql_replay_cuts, 1, params, &result, err))
		return -1;
	replay->n_cuts = PQntuples(result);
	replay->cuts = xcalloc((size_t)replay->n_cuts, sizeof(*replay->cuts));
	for (int i = 0; i < replay->n_cuts; i++) {
		struct replay_cut *cut = &replay->cuts[i];

		assert(pg_number(result, i, 0) == i); /* partitions are 0, 1, ... */
		cut->first = pg_number(result, i, 1);
		cut->next = pg_number(result, i, 2);
		cut->state = (struct fold_state){ pg_time(result, i, 3), pg_time(result, i, 4) };
		if (tail_parse(PQgetvalue(result, i, 5), &cut->tail))
			return err_set(err, ERR_DATA,
				"the tail of run %" PRId64 " in lambda.cuts is damaged: '%s'", replay->run,
				PQgetvalue(result, i, 5));
		snprintf(cut->ids, sizeof(cut->ids), "%s", PQgetvalue(result, i, 6));
		replay->by_ids &= !PQgetisnull(result, i, 6);
	}
	return 0;
}

static int replay_load_rejected(struct replay *replay, PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, replay->run) };

	if (pg_exec(conn, sql_replay_rejected, 1, params, &result, err))
		return -1;
	for (int i = 0; i < PQntuples(result); i++)
		for (int reason = EVENT_OK + 1; reason < EVENT_N_REJECTS; reason++)
			if (!strcmp(PQgetvalue(result, i, 0), event_reject_code((enum event_reject)reason)))
				replay->counters.rejected[reason] = pg_number(result, i, 1);
	return 0;
}

static struct text replay_text(const PGresult *result, int row, int column)
{
	return (struct text){ PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column) };
}

static int replay_load_names(struct replay *replay, PGconn *conn, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char number[DATABASE_NUMBER_MAX];
	const char *const params[] = { database_number(number, replay->run) };

	if (pg_exec(conn, sql_replay_names, 1, params, &result, err))
		return -1;
	for (int i = 0; i < PQntuples(result); i++)
		names_see(&replay->names, dictionary_put(replay->skus, replay_text(result, i, 0)),
			replay_text(result, i, 1), pg_number(result, i, 2), (int32_t)pg_number(result, i, 3),
			pg_number(result, i, 4));
	return 0;
}

/* By its ids it stands for what it covers, without what it has missed: of that the published run may have
 * read some, and nobody takes that back unasked. */
static int replay_check_missed(const struct replay *replay, const struct config *config,
	const struct pg_published *published, const char *published_lost, struct err *err)
{
	SCOPED(ranges_release) struct ranges there = { 0 }, missed = { 0 };
	SCOPED(xfreep) char *text = NULL;

	if (ranges_parse(&there, published_lost))
		return err_set(err, ERR_DATA, "what run %" PRId64 " has lost is damaged in lambda.runs: '%s'",
			published->run, published_lost);
	for (int i = 0; i < replay->n_cuts && i < published->n_cuts; i++) {
		struct range late = { i, published->cuts[i].first_offset, replay->cuts[i].first };

		if (!config->allow_truncated_history && !ranges_have(&config->accept_lost, late) &&
			!ranges_have(&replay->lost, late)) /* which come next */
			ranges_add(&missed, late);
	}
	for (size_t i = 0; i < replay->lost.n; i++) {
		struct range lost = replay->lost.at[i];

		if (lost.partition < published->n_cuts &&
			lost.from < published->cuts[lost.partition].first_offset)
			lost.from = published->cuts[lost.partition].first_offset;
		if (!ranges_have(&there, lost) && !ranges_have(&config->accept_lost, lost))
			ranges_add(&missed, lost);
	}
	if (!missed.n)
		return 0;
	text = ranges_text(&missed);
	return err_set(err, ERR_DATA,
		"run %" PRId64 " goes without offsets %s, and the published run %" PRId64
		" does not: a replay would "
		"take them back; hint: another --base, or lambda-batch run; with --accept-lost=%" PRId32
		":%" PRId64 "-%" PRId64 " (one for each range) it does, and every answer says so",
		replay->run, text, published->run, missed.at[0].partition, missed.at[0].from,
		missed.at[0].to);
}

/* What is known of the run. It has kept the ids if it has those of every partition. */
static int replay_load(struct replay *replay, const struct config *config, PGconn *conn, struct err *err)
{
	bool wanted = !strcmp(config->keep_ids, "yes");

	replay->by_ids = wanted;
	if (replay_load_cuts(replay, conn, err) || replay_load_rejected(replay, conn, err) ||
		(replay->by_ids && replay_load_names(replay, conn, err)))
		return -1;
	log_info("this is a replay of run %" PRId64 ": %s", replay->run,
		replay->by_ids ? "it has kept its ids, the log is read from its cut on"
		: wanted       ? "it has not kept its ids, the log is read from its beginning"
			       : "by --keep-ids=no the log is read from its beginning");
	return 0;
}

int replay_find(struct replay *ret_replay, const struct config *config, PGconn *conn,
	const struct pg_published *published, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	char fold[FOLD_VERSION_MAX], n[3][DATABASE_NUMBER_MAX];
	const char *params[4] = { n[0], fold, database_number(n[1], published->run),
		config->replay_base ? database_number(n[2], config->replay_base) : NULL };
	int64_t from_ms;

	if (replay_time(config, conn, &from_ms, err))
		return -1;
	if (!published->publication)
		return err_set(err, ERR_DATA,
			"nothing is published that a replay could go on from; hint: lambda-batch run");
	fold_version(&config->rules, fold);
	database_number(n[0], from_ms);
	if (pg_exec(conn, sql_replay_base, 4, params, &result, err))
		return -1;
	if (!PQntuples(result))
		return replay_none(config, err);
	*ret_replay = (struct replay){ .run = pg_number(result, 0, 0),
		.counters = { .records = pg_number(result, 0, 1),
			.counted = pg_number(result, 0, 2),
			.duplicate = pg_number(result, 0, 3),
			.late = pg_number(result, 0, 4) },
		.truncated = *PQgetvalue(result, 0, 5) == 't' };
	table_init(&ret_replay->ids, sizeof(struct event_id_hash), sizeof(struct event_id_hash));
	names_init(&ret_replay->names);
	ret_replay->skus = dictionary_new();
	if (ranges_parse(&ret_replay->lost, PQgetvalue(result, 0, 6)))
		return err_set(err, ERR_DATA, "what run %" PRId64 " has lost is damaged in lambda.runs: '%s'",
			ret_replay->run, PQgetvalue(result, 0, 6));
	return replay_load(ret_replay, config, conn, err) ||
			       (ret_replay->by_ids && replay_check_missed(ret_replay, config, published,
							      PQgetvalue(result, 0, 7), err))
		       ? -1
		       : 0;
}

void replay_release(struct replay *replay)
{
	free(replay->cuts);
	ranges_release(&replay->lost);
	ranges_release(&replay->gone);
	table_release(&replay->ids);
	names_release(&replay->names);
	dictionary_free(replay->skus);
	*replay = (struct replay){ 0 };
}

/* --- what is known --- */

/* What is not read is looked at where it ends. */
static int replay_check_log(const struct replay *replay, const struct config *config, struct err *err)
{
	SCOPED(kafka_close) rd_kafka_t *rk = NULL;

	if (kafka_open_reader(config, &rk, err))
		return -1;
	for (int i = 0; i < replay->n_cuts; i++)
		if (kafka_check_tail_by(
			    rk, config->topic, i, &replay->cuts[i].tail, config->connect_wait_ms, err))
			return -1;
	return 0;
}

static void replay_clip(struct replay *replay, const struct replay_cut *cut, struct range *hole)
{
	struct range below = { hole->partition, hole->from > cut->first ? hole->from : cut->first,
		hole->to < cut->next ? hole->to : cut->next };

	if (!ranges_have(&replay->lost, below))
		ranges_add(&replay->gone, below);
	if (hole->from < cut->next)
		hole->from = cut->next;
}

/* By its ids the older run stands for what it covers, with what it has missed there. What the log has lost of
 * that since is nothing to us; what it has lost behind it, nobody has counted. */
static void replay_take_over(struct replay *replay, struct history *history)
{
	for (int i = 0; i < replay->n_cuts; i++) {
		const struct replay_cut *cut = &replay->cuts[i];
		struct part *part = &history->parts[i];

		part->next = cut->next > part->next ? cut->next : part->next;
		if (cut->next > cut->first || part->first < cut->first)
			part->first = cut->first;
	}
	for (size_t i = 0; i < history->holes.n; i++) {
		struct range *hole = &history->holes.at[i];

		if (hole->partition < replay->n_cuts)
			replay_clip(replay, &replay->cuts[hole->partition], hole);
	}
	history->truncated |= replay->truncated;
	for (size_t i = 0; i < replay->lost.n; i++)
		ranges_add(&history->lost, replay->lost.at[i]);
}

int replay_mark(struct replay *replay, const struct config *config, struct history *history, struct err *err)
{
	for (int i = 0; i < history->n_parts; i++) {
		struct part *part = &history->parts[i];

		part->known = i < replay->n_cuts ? replay->cuts[i].next : 0;
		if (part->known > part->base_cut)
			return err_set(err, ERR_DATA,
				"run %" PRId64 " goes further than the published one in partition %d; hint: "
				"an older --base, "
				"or lambda-batch run",
				replay->run, i);
	}
	if (replay->by_ids)
		replay_take_over(replay, history);
	return replay->by_ids && !history->archive_only ? replay_check_log(replay, config, err) : 0;
}

int replay_without_ids(struct replay *replay, struct history *history, struct err *err)
{
	SCOPED(xfreep) char *gone = ranges_text(&replay->gone);
	struct err why = *err;

	if (replay->gone.n)
		return err_set(err, ERR_DATA,
			"%s, and the log cannot be read instead, for offsets %s are gone; hint: lambda-batch "
			"run",
			why.msg, gone);
	log_warn("%s; reading the log from its beginning instead", why.msg);
	replay->by_ids = false;
	for (int i = 0; i < history->n_parts; i++) {
		history->parts[i].next = history->parts[i].first;
		tail_init(&history->parts[i].tail);
	}
	return 0;
}

/* --- ids --- */

struct replay_reader {
	struct replay *replay;
	struct event_parser *parser;
	struct progress *progress;
	int64_t done;
};

static int replay_record(void *arg, const struct record *record, struct err *err)
{
	struct replay_reader *reader = arg;
	const struct event *event = NULL;
	bool new;

	if (batch_stop_asked())
		return batch_stopped(err);
	progress_at(reader->progress, ++reader->done);
	if (event_parse(reader->parser, record->value, record->value_len, &event) == EVENT_OK) {
		struct event_id_hash id = event_id_hash(event->event_id);

		table_put(&reader->replay->ids, &id, &new);
	}
	return 0;
}

int replay_collect(struct replay *replay, const struct config *config, struct history *history,
	struct progress *progress, struct err *err)
{
	size_t n = (size_t)history->n_parts;
	SCOPED(xfreep) struct part *parts = xcalloc(n, sizeof(*parts));
	SCOPED(xfreep) struct part **left = xcalloc(n, sizeof(*left));
	struct replay_reader reader = { .replay = replay, .progress = progress };
	int64_t n_records = 0;
	int failed = 0, n_left = 0;

	for (size_t i = 0; i < n; i++) {
		parts[i] = history->parts[i];
		if (parts[i].known > parts[i].next)
			parts[i].next = parts[i].known;
		tail_init(&parts[i].base_tail); /* is checked when all is read */
		n_records += parts[i].cut > parts[i].next ? parts[i].cut - parts[i].next : 0;
	}
	progress_phase(progress, "looking for ids", "records", n_records);
	reader.parser = event_parser_new();
	for (size_t i = 0; i < n && !failed; i++) {
		failed = archive_source_read(&parts[i], replay_record, &reader, err);
		if (parts[i].next < parts[i].cut)
			left[n_left++] = &parts[i];
	}
	if (!failed && n_left)
		failed = kafka_source_read(config, left, n_left, replay_record, &reader, err);
	event_parser_free(reader.parser);
	progress_end(progress, reader.done);
	return failed;
}
