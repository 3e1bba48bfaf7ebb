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
#include "common/mem.h"

struct reader_fold {
	struct part *part;
	struct fold_rules plain_rules; /* speed's without a horizon */
	struct fold plain, speed;
	int64_t warm_from; /* speed's horizon begins here */
	int64_t speed_from; /* from here on speed's verdicts are asked for */
	bool warming, speeding;
	struct counters ignored;
};

void reader_init(struct reader *reader, const struct config *config, const struct bins_plan *plan,
	bool explain, const struct replay *replay)
{
	*reader = (struct reader){ .config = config, .explain = explain, .replay = replay };
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
	}
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

static int reader_keep(struct reader *reader, const struct record *record, const struct event *event,
	unsigned flags, int64_t late_ms, struct err *err)
{
	struct fact fact = { event_id_hash(event->event_id), record->part->partition, flags, record->offset,
		record->timestamp_ms, late_ms };
	unsigned bin = bins_of(reader->bins.plan, fact.id);
	unsigned char *room;

	if (flags & FACT_KNOWN && !replay_has(reader->replay, fact.id))
		return 0;
	room = bins_room(&reader->bins, bin, fact_size_max(event), err);
	if (!room)
		return -1;
	bins_used(&reader->bins, bin, fact_encode(room, &fact, event, reader->skus));
	return 0;
}

int reader_record(void *arg, const struct record *record, struct err *err)
{
	struct reader *reader = arg;
	struct reader_fold *fold = reader_fold_of(reader, record->part);
	const struct event *event = NULL;
	enum event_reject reject = event_parse(reader->parser, record->value, record->value_len, &event);
	struct counters *counters = record->offset < record->part->known ? &reader->known : &reader->counters;
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
		counters->rejected[reject]++;
		return 0;
	}
	if (flags & FACT_SPEED && reader_expect(reader, record->part, event, err))
		return -1;
	reader_names(reader, record, event);
	return reader_keep(reader, record, event, flags, late_ms, err);
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
		fold_release(&reader->folds[i].plain);
		fold_release(&reader->folds[i].speed);
	}
}

/* The archive, and then Kafka for what it does not have. */
static int reader_read(struct reader *reader)
{
	bool left = false;

	for (int i = 0; i < reader->n_parts; i++) {
		if (archive_source_read(reader->parts[i], reader_record, reader, &reader->err))
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
