/* Two passes over a bin: the first finds each id's winner, the second counts winners and explains losers.
 * Only the ids are held in memory, never the facts, so an id with a million duplicates costs no more than one
 * without. */
#include "common/base.h"
#include "batch/winners.h"

#include "common/mem.h"

struct winner_place {
	int64_t record_ms, offset;
	int32_t partition; /* -1: none */
};

struct winner_entry {
	struct event_id_hash id;
	struct winner_place best;
	bool known; /* to the run that is replayed */
	struct winner_place base; /* among the facts below the base's cut: what counted at the base's cut */
};

struct winner_seen {
	struct event_id_hash id;
	int32_t partition, zero;
};

static_assert(sizeof(struct winner_seen) == 24, "no padding in a key");

void winners_init(struct winners *winners, const struct calendar *calendar, int64_t customers_from_ms,
	struct customers *customers)
{
	*winners = (struct winners){ .calendar = calendar, .customers = customers };
	table_init(&winners->ids, sizeof(struct winner_entry), sizeof(struct event_id_hash));
	table_init(&winners->seen, sizeof(struct winner_seen), sizeof(struct winner_seen));
	tally_init(&winners->tally);
	winners->tally.customers_from_ms = customers_from_ms;
	ledger_init(&winners->ledger);
	winners->event.lines = xcalloc(EVENT_LINES_MAX, sizeof(*winners->event.lines));
	winners->skus = xcalloc(EVENT_LINES_MAX, sizeof(*winners->skus));
}

void winners_release(struct winners *winners)
{
	table_release(&winners->ids);
	table_release(&winners->seen);
	tally_release(&winners->tally);
	ledger_release(&winners->ledger);
	free(winners->event.lines);
	free(winners->skus);
	free(winners->cursor.buffer);
	*winners = (struct winners){ 0 };
}

/* --- a bin's facts --- */

typedef int winners_visit_fn(struct winners *winners, const struct winners_source *source,
	const struct fact *fact, const unsigned char *body, struct err *err);

static int winners_walk(struct winners *winners, const struct winners_source *source, unsigned bin,
	winners_visit_fn *visit, struct err *err)
{
	const unsigned char *at, *body;
	size_t len;
	int more;

	bins_cursor_start(&winners->cursor, source->bins, bin);
	while ((more = bins_cursor_next(&winners->cursor, &at, &len, err)) > 0) {
		const unsigned char *end = at + len;

		while (at < end) {
			struct fact fact;

			at = fact_decode(at, &fact, &body);
			if (visit(winners, source, &fact, body, err))
				return -1;
		}
	}
	return more;
}

/* --- first pass --- */

/* May the fact take the place? Both are the first of their partition. */
static bool winner_beats(const struct fact *fact, const struct winner_place *place)
{
	if (place->partition < 0 || fact->record_ms != place->record_ms)
		return place->partition < 0 || fact->record_ms < place->record_ms;
	return fact->partition < place->partition;
}

static struct winner_place winner_place(const struct fact *fact)
{
	return (struct winner_place){ fact->record_ms, fact->offset, fact->partition };
}

static bool winners_mark_seen(struct winners *winners, struct event_id_hash id, int32_t partition)
{
	struct winner_seen key = { id, partition, 0 };
	bool new;

	table_put(&winners->seen, &key, &new);
	return !new;
}

static int winners_see(struct winners *winners, const struct winners_source *source, const struct fact *fact,
	const unsigned char *body, struct err *err)
{
	bool new;
	struct winner_entry *entry = table_put(&winners->ids, &fact->id, &new);

	(void)source;
	(void)body;
	(void)err;
	entry->known |= !!(fact->flags & FACT_KNOWN);
	if (new) {
		entry->best = winner_place(fact);
		entry->base = entry->best;
		if (!(fact->flags & FACT_BELOW_BASE))
			entry->base.partition = -1;
		return 0;
	}
	/* in one partition the first one stands for all */
	if (fact->partition == entry->best.partition || winners_mark_seen(winners, fact->id, fact->partition))
		return 0;
	if (winner_beats(fact, &entry->best)) {
		winners_mark_seen(winners, fact->id, entry->best.partition);
		entry->best = winner_place(fact);
	}
	if (fact->flags & FACT_BELOW_BASE && winner_beats(fact, &entry->base))
		entry->base = winner_place(fact);
	return 0;
}

/* --- second pass --- */

static bool winner_is(const struct winner_place *place, const struct fact *fact)
{
	return place->partition == fact->partition && place->offset == fact->offset;
}

static int winners_note(struct winners *winners, enum ledger_kind kind, int sign, struct err *err)
{
	const struct event *event = &winners->event;
	struct ledger_key key = { calendar_day(winners->calendar, event->time_ms), event->currency,
		(int32_t)kind, 0 };

	return ledger_add(&winners->ledger, key, sign * event_net_e4(event), 1, err);
}

/* What the fact does to the difference between the new answer and the one before. */
static int winners_explain(
	struct winners *winners, const struct winner_entry *entry, const struct fact *fact, struct err *err)
{
	bool counts = winner_is(&entry->best, fact);

	if (winner_is(&entry->base, fact)) {
		if (winners_note(winners, LEDGER_BASE_AGAIN, 1, err))
			return -1;
		/* it counted until an earlier one came up in another partition, behind the base's cut */
		if (!counts)
			return winners_note(winners, LEDGER_OTHER_PARTITION, -1, err);
	}
	if (counts)
		return fact->flags & FACT_EXCLUDED ? winners_note(winners, LEDGER_LATE_EXCLUDED, 1, err) : 0;
	if (!(fact->flags & FACT_SPEED))
		return 0;
	return winners_note(winners,
		fact->partition == entry->best.partition ? LEDGER_BEYOND_HORIZON : LEDGER_OTHER_PARTITION, -1,
		err);
}

/* A replay adds to what is stored, and cannot take from it. */
static int winners_superseded(const struct fact *fact, struct err *err)
{
	return err_set(err, ERR_DATA,
		"the event at offset %" PRId64
		" of partition %d was counted by the older run from another partition, "
		"but has the earlier record timestamp here: a replay cannot take that back; hint: "
		"lambda-batch run",
		fact->offset, (int)fact->partition);
}

static int winners_count(struct winners *winners, const struct winners_source *source,
	const struct fact *fact, const unsigned char *body, struct err *err)
{
	const struct winner_entry *entry = table_find(&winners->ids, &fact->id);
	struct event *event = &winners->event;
	bool counts = winner_is(&entry->best, fact);
	bool loaded = counts || winner_is(&entry->base, fact) || fact->flags & FACT_SPEED;

	if (fact->flags & FACT_KNOWN)
		return 0; /* the run that is replayed has counted it, or its duplicate */
	if (counts && entry->known)
		return winners_superseded(fact, err);
	if (loaded)
		fact_event(body, event, winners->skus);
	if (loaded && winners_explain(winners, entry, fact, err))
		return -1;
	if (!counts) {
		winners->tally.counters.duplicate++;
		return 0;
	}
	winners->tally.counters.counted++;
	for (uint32_t i = 0; i < event->n_lines; i++)
		event->lines[i].sku = dictionary_get(source->texts, winners->skus[i]);
	if (fact->flags & FACT_LATE) {
		winners->tally.counters.late++;
		if (tally_add_late(&winners->tally, winners->calendar, event, fact->late_ms, err))
			return -1;
	}
	if (winners->customers && customers_add(winners->customers, event, err))
		return -1;
	return tally_add(&winners->tally, winners->calendar, event, err);
}

int winners_bin(struct winners *winners, const struct winners_source *sources, int n_sources, unsigned bin,
	struct err *err)
{
	table_clear(&winners->ids);
	table_clear(&winners->seen);
	for (int i = 0; i < n_sources; i++)
		if (winners_walk(winners, &sources[i], bin, winners_see, err))
			return -1;
	for (int i = 0; i < n_sources; i++)
		if (winners_walk(winners, &sources[i], bin, winners_count, err))
			return -1;
	return 0;
}

/* --- merging --- */

int winners_merge(struct winners *sum, const struct winners *more, struct err *err)
{
	counters_add(&sum->tally.counters, &more->tally.counters);
	if (tally_merge(&sum->tally, &more->tally, err))
		return -1;
	return ledger_merge(&sum->ledger, &more->ledger, err);
}
