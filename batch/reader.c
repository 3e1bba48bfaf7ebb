/* Per record: parse, fold by speed's own rules as far as the corrections need it, encode as a fact, throw
 * into a bin.
 *
 * Two folds go along. The first knows no horizon: it carries event time from the first offset on, and tells
 * what is late. The second is speed's: it warms up within a horizon of where its verdicts are needed (the
 * base's cut), and from there on gives the verdicts that speed must have given. */
#include "common/base.h"
#include "batch/reader.h"

#include "batch/archive_source.h"
#include "batch/batch.h"
#include "batch/kafka_source.h"
#include "common/log.h"
#include "common/mem.h"

struct reader_fold {
	struct part *part;
	struct fold_rules plain_rules; /* speed's without a horizon */
	struct fold plain, speed;
	int64_t warm_from; /* speed's horizon begins here */
	int64_t speed_from; /* from here on speed's verdicts are asked for */
	bool warming, speeding;
	struct counters ignored;
	struct ids_chain ids; /* that this run keeps */
};

void reader_init(struct reader *reader, const struct config *config, const struct bins_plan *plan,
	bool explain, struct replay *replay)
{
	*reader = (struct reader){ .config = config, .explain = explain, .replay = replay };
	reader->ids = (struct ids){ .config = config, .mend = replay && replay->ids_wrong };
	reader->parser = event_parser_new();
	reader->texts = dictionary_new();
	reader->skus = xcalloc(EVENT_LINES_MAX, sizeof(*reader->skus));
	bins_writer_init(&reader->bins, plan);
	names_init(&reader->names);
	ledger_init(&reader->ledger);
}

void reader_release(struct reader *reader)
{
	for (int i = 0; i < reader->n_parts; i++) {
		fold_release(&reader->folds[i].plain);
		fold_release(&reader->folds[i].speed);
		ids_chain_release(&reader->folds[i].ids);
	}
	ids_release(&reader->ids);
	free(reader->folds);
	free(reader->parts);
	event_parser_free(reader->parser);
	dictionary_free(reader->texts);
	free(reader->skus);
	bins_writer_release(&reader->bins);
	names_release(&reader->names);
	ledger_release(&reader->ledger);
}

void reader_add(struct reader *reader, struct part *part)
{
	size_t n = (size_t)reader->n_parts + 1;

	reader->parts = xreallocarray(reader->parts, n, sizeof(*reader->parts));
	reader->folds = xreallocarray(reader->folds, n, sizeof(*reader->folds));
	reader->parts[reader->n_parts] = part;
	reader->folds[reader->n_parts] = (struct reader_fold){ .part = part };
	reader->n_parts++;
}

/* --- the folds --- */

static void reader_fold_start(struct reader *reader, struct reader_fold *fold)
{
	const struct fold_rules *rules = &reader->config->rules;
	const struct part *part = fold->part;

	fold->plain_rules = *rules;
	fold->plain_rules.horizon_records = 1;
	fold->plain_rules.horizon_ms = 0;
	fold_init(&fold->plain, &fold->plain_rules);
	fold->plain.horizon.slack = 0; /* nobody goes back here */
	horizon_start(&fold->plain.horizon, part->next, DATETIME_NONE);
	fold_init(&fold->speed, rules);
	fold->speed.horizon.slack = 0;
	fold->speed_from = reader->explain ? part->base_cut : INT64_MAX;
	fold->warm_from = fold->speed_from - rules->horizon_records;
}

/* The state at `next` goes on in speed's fold. */
static void reader_fold_speed(struct reader_fold *fold, int64_t next)
{
	if (!fold->warming)
		horizon_start(&fold->speed.horizon, next, fold->plain.state.latest_record_ms);
	if (next > fold->speed.horizon.next)
		horizon_skip(&fold->speed.horizon, next);
	fold->warming = fold->speeding = true;
	fold->speed.state = fold->plain.state;
}

/* Flags of the fact. event is NULL when it was rejected. */
static unsigned reader_fold_record(struct reader_fold *fold, const struct record *record,
	const struct event *event, enum event_reject reject, int64_t *ret_late_ms)
{
	unsigned flags = (record->offset < fold->part->base_cut ? FACT_BELOW_BASE : 0) |
			 (record->offset < fold->part->known ? FACT_KNOWN : 0);

	if (record->offset >= fold->speed_from && !fold->speeding)
		reader_fold_speed(fold, fold->speed_from);
	if (fold->speeding) {
		enum verdict verdict = fold_record(&fold->speed, record->offset, record->timestamp_ms, event,
			reject, &fold->ignored, ret_late_ms);

		flags |= verdict == VERDICT_COUNTED    ? FACT_SPEED
			 : verdict == VERDICT_EXCLUDED ? FACT_EXCLUDED
						       : 0;
		return flags | (*ret_late_ms ? FACT_LATE : 0);
	}
	if (record->offset >= fold->warm_from) {
		if (!fold->warming)
			horizon_start(
				&fold->speed.horizon, record->offset, fold->plain.state.latest_record_ms);
		fold->warming = true;
		fold_warm(&fold->speed, record->offset, record->timestamp_ms, event);
	}
	fold_record(&fold->plain, record->offset, record->timestamp_ms, event, reject, &fold->ignored,
		ret_late_ms);
	return flags | (*ret_late_ms ? FACT_LATE : 0);
}

/* What the next run, speed and serving need at the cut. */
static void reader_fold_end(struct reader_fold *fold)
{
	fold->part->state = fold->speeding ? fold->speed.state : fold->plain.state;
}

static struct reader_fold *reader_fold_of(struct reader *reader, const struct part *part)
{
	for (int i = 0; i < reader->n_parts; i++)
		if (reader->folds[i].part == part)
			return &reader->folds[i];
	assert(0 && "a record of somebody else's partition");
	return NULL;
}

/* --- ids --- */

static void reader_keep_id(struct reader *reader, struct reader_fold *fold, const struct id_entry *entry)
{
	struct err err;

	if (!reader->keep_ids || !ids_put(&reader->ids, &fold->ids, entry, &err))
		return;
	log_warn("%s; going on without keeping the ids: a replay from this run will read the whole log",
		err.msg);
	reader->keep_ids = false;
}

static void reader_end_ids(struct reader *reader, struct reader_fold *fold)
{
	struct err err;

	if (reader->keep_ids && ids_end(&reader->ids, &fold->ids, &err)) {
		log_warn("%s; going on without keeping the ids", err.msg);
		reader->keep_ids = false;
	}
	fold->part->ids_kept = reader->keep_ids;
	memcpy(fold->part->ids, fold->ids.newest, sizeof(fold->part->ids));
	ids_chain_release(&fold->ids);
}

/* --- records --- */

static int reader_expect(
	struct reader *reader, const struct part *part, const struct event *event, struct err *err)
{
	struct ledger_key key = { calendar_day(&reader->config->calendar, event->time_ms), event->currency,
		LEDGER_EXPECTED, part->partition };

	return ledger_add(&reader->ledger, key, event_net_e4(event), 1, err);
}

static void reader_names(struct reader *reader, const struct record *record, const struct event *event)
{
	for (uint32_t i = 0; i < event->n_lines; i++) {
		const struct event_line *line = &event->lines[i];

		reader->skus[i] = dictionary_put(reader->texts, line->sku);
		if (line->name.at)
			names_see(&reader->names, reader->skus[i], line->name, event->time_ms,
				record->part->partition, record->offset);
	}
}

static int reader_throw(
	struct reader *reader, const struct fact *fact, const struct event *event, struct err *err)
{
	unsigned bin = bins_of(reader->bins.plan, fact->id);
	unsigned char *room = bins_room(&reader->bins, bin, fact_size_max(event), err);

	if (!room)
		return -1;
	bins_used(&reader->bins, bin, fact_encode(room, fact, event, reader->skus));
	return 0;
}

static int reader_keep(struct reader *reader, struct reader_fold *fold, const struct record *record,
	const struct event *event, unsigned flags, int64_t late_ms, struct err *err)
{
	struct fact fact = { event_id_hash(event->event_id), record->part->partition, flags, record->offset,
		record->timestamp_ms, late_ms };

	reader_keep_id(reader, fold, &(struct id_entry){ fact.offset, fact.record_ms, true, fact.id });
	if (flags & FACT_KNOWN && !replay_has(reader->replay, fact.id))
		return 0;
	return reader_throw(reader, &fact, event, err);
}

int reader_record(void *arg, const struct record *record, struct err *err)
{
	struct reader *reader = arg;
	struct reader_fold *fold = reader_fold_of(reader, record->part);
	const struct event *event = NULL;
	enum event_reject reject = event_parse(reader->parser, record->value, record->value_len, &event);
	bool known = record->offset < record->part->known;
	struct counters *counters = known ? &reader->known : &reader->counters;
	int64_t late_ms;
	unsigned flags;

	if (atomic_load_explicit(&reader->give_up, memory_order_relaxed))
		return batch_stopped(err);
	if (reject != EVENT_OK)
		event = NULL;
	flags = reader_fold_record(fold, record, event, reject, &late_ms);
	counters->records++;
	tail_of_record(&record->part->tail, record->offset, record->timestamp_ms, record->key,
		record->key_len, record->value, record->value_len);
	atomic_fetch_add_explicit(&reader->n_records, 1, memory_order_relaxed);
	if (!event) {
		reader_keep_id(reader, fold,
			&(struct id_entry){ record->offset, record->timestamp_ms, false, { 0 } });
		counters->rejected[reject]++;
		return 0;
	}
	counters->counted += known;
	if (flags & FACT_SPEED && reader_expect(reader, record->part, event, err))
		return -1;
	reader_names(reader, record, event);
	return reader_keep(reader, fold, record, event, flags, late_ms, err);
}

/* --- what is known --- */

struct reader_known {
	struct reader *reader;
	struct reader_fold *fold;
};

/* As reader_record(), for a record of which only the id is known. */
static int reader_known_record(void *arg, const struct id_entry *entry, struct err *err)
{
	static const struct event nothing; /* what is known counts no more */
	struct reader *reader = ((struct reader_known *)arg)->reader;
	struct reader_fold *fold = ((struct reader_known *)arg)->fold;
	struct fold_state *state = &fold->plain.state;
	const struct fact fact = { entry->id, fold->part->partition, FACT_BELOW_BASE | FACT_KNOWN,
		entry->offset, entry->record_ms, 0 };

	if (atomic_load_explicit(&reader->give_up, memory_order_relaxed) || batch_stop_asked())
		return batch_stopped(err);
	if (entry->offset >= fold->warm_from) {
		if (!fold->warming)
			horizon_start(&fold->speed.horizon, entry->offset, state->latest_record_ms);
		fold->warming = true;
		if (entry->valid)
			horizon_see(&fold->speed.horizon, entry->offset, entry->record_ms, entry->id);
		else
			horizon_pass(&fold->speed.horizon, entry->offset, entry->record_ms);
	}
	if (entry->record_ms > state->latest_record_ms)
		state->latest_record_ms = entry->record_ms;
	reader->known.records++;
	reader->known.counted += entry->valid;
	reader_keep_id(reader, fold, entry);
	return entry->valid && replay_has(reader->replay, entry->id)
		       ? reader_throw(reader, &fact, &nothing, err)
		       : 0;
}

/* Of a replay by ids: up to where reading begins. */
static int reader_known(struct reader *reader, struct reader_fold *fold)
{
	struct part *part = fold->part;
	const struct replay *replay = reader->replay;
	const struct replay_cut *cut;
	int status;

	if (!replay || !replay->by_ids || part->partition >= replay->n_cuts)
		return 0;
	cut = &replay->cuts[part->partition];
	status = ids_read(&reader->ids, cut->ids, reader_known_record, &(struct reader_known){ reader, fold },
		&reader->err);
	if (status > 0)
		reader->replay->ids_wrong = true;
	fold->plain.state = cut->state;
	part->tail = cut->tail;
	return status ? -1 : 0;
}

/* --- thread --- */

void reader_begin(struct reader *reader)
{
	for (int i = 0; i < reader->n_parts; i++)
		reader_fold_start(reader, &reader->folds[i]);
}

void reader_finish(struct reader *reader)
{
	for (int i = 0; i < reader->n_parts; i++) {
		reader_fold_end(&reader->folds[i]);
		reader_end_ids(reader, &reader->folds[i]);
		fold_release(&reader->folds[i].plain);
		fold_release(&reader->folds[i].speed);
	}
}

/* What is known without reading, the archive, and then Kafka for what it does not have. */
static int reader_read(struct reader *reader)
{
	bool left = false;

	for (int i = 0; i < reader->n_parts; i++) {
		if (reader_known(reader, &reader->folds[i]) ||
			archive_source_read(reader->parts[i], reader_record, reader, &reader->err))
			return -1;
		left |= reader->parts[i]->next < reader->parts[i]->cut;
	}
	return left ? kafka_source_read(reader->config, reader->parts, reader->n_parts, reader_record, reader,
			      &reader->err)
		    : 0;
}

static void *reader_main(void *arg)
{
	struct reader *reader = arg;

	reader_begin(reader);
	reader->failed = reader_read(reader);
	reader->keep_ids &= !reader->failed;
	reader_finish(reader);
	atomic_store(&reader->ended, true);
	return NULL;
}

void reader_start(struct reader *reader)
{
	int status = pthread_create(&reader->thread, NULL, reader_main, reader);

	reader->started = !status;
	if (status) {
		reader->failed = batch_no_thread(status, &reader->err);
		atomic_store(&reader->ended, true);
	}
}

int reader_join(struct reader *reader, struct err *err)
{
	if (reader->started)
		pthread_join(reader->thread, NULL);
	if (reader->failed)
		*err = reader->err;
	return reader->failed;
}
