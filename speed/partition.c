#include "common/base.h"
#include "speed/partition.h"

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"

struct partition *partition_new(const struct config *config, int number)
{
	struct partition *p = xcalloc(1, sizeof(*p));

	p->number = number;
	redis_base(p->base, config->name, config->topic, number);
	values_init(&p->pending);
	p->pending.has_names = !strcmp(config->store, "postgres");
	tail_init(&p->tail);
	tail_init(&p->archived.expected);
	p->next = p->position = -1;
	p->oldest_ms = p->sent_oldest_ms = p->arrived_ms = p->held_ms = DATETIME_NONE;
	return p;
}

static void partition_release_last(struct partition *p)
{
	if (p->last)
		rd_kafka_message_destroy(p->last);
	p->last = NULL;
}

void partition_free(struct partition *p)
{
	partition_drop(p);
	partition_forget(p);
	values_release(&p->pending);
	redis_state_release(&p->known);
	free(p);
}

void partition_drop(struct partition *p)
{
	values_clear(&p->pending);
	partition_release_last(p);
	p->n_pending = 0;
	p->next = p->position = -1;
	p->sent = 0;
	p->lost_from = p->lost_to = 0;
	p->oldest_ms = p->sent_oldest_ms = DATETIME_NONE;
	p->at_end = false;
	p->customers_hour = INT64_MIN;
	p->life++;
}

void partition_forget(struct partition *p)
{
	if (p->has_fold)
		fold_release(&p->fold);
	p->has_fold = false;
}

/* Nothing that verdicts from the position on need was forgotten, or had been missing: only what lies between
 * the memory's end and the position is. Not worth it when that is more than a whole horizon. */
static bool partition_extend(struct partition *p, int64_t exact_from, int64_t first)
{
	struct horizon *horizon = &p->fold.horizon;
	int64_t end = horizon->next;

	if (horizon->from < 0 || p->position < exact_from || p->position <= end ||
		p->position - end > horizon->max_records ||
		!horizon_rewind(horizon, end, p->known.latest.latest_record_ms))
		return false;
	p->warm_from = p->warm_at = end > first ? end : first;
	p->state = p->warm_at < p->position ? PARTITION_WARMING : PARTITION_FOLDING;
	return true;
}

bool partition_resume(struct partition *p, const struct config *config, int64_t first, int64_t *ret_from_ms)
{
	const struct generation *open = redis_state_open(&p->known);
	int64_t exact_from;

	partition_drop(p);
	if (!p->has_fold)
		fold_init(&p->fold, &config->rules);
	p->has_fold = true;
	p->next = p->position = open->next;
	p->tail = p->known.tail;
	if (first > p->next) {
		p->lost_from = p->next;
		p->lost_to = p->position = first;
	}
	exact_from = p->fold.exact_from;
	if (fold_resume(&p->fold, p->position, &p->known.latest)) {
		p->state = PARTITION_FOLDING;
		return true;
	}
	if (partition_extend(p, exact_from, first))
		return true;
	*ret_from_ms = horizon_oldest_record_ms(&p->fold.horizon, p->known.latest.latest_record_ms);
	return false;
}

void partition_warm(struct partition *p, int64_t from)
{
	horizon_start(&p->fold.horizon, from, p->known.latest.latest_record_ms);
	p->warm_from = p->warm_at = from;
	p->state = from < p->position ? PARTITION_WARMING : PARTITION_FOLDING;
}

static void partition_warmed(struct partition *p)
{
	log_info("partition %d: the horizon is read, folding from offset %" PRId64, p->number, p->position);
	p->state = PARTITION_FOLDING;
}

int64_t partition_reads_at(const struct partition *p)
{
	return p->state == PARTITION_WARMING ? p->warm_at : p->position;
}

/* A message is kept until its tail is wanted, which spares a hash of most of them. */
static void partition_take(struct partition *p, const struct record *record)
{
	partition_release_last(p);
	p->last = record->message;
	if (!record->message)
		tail_of_record(&p->tail, record->offset, record->timestamp_ms, record->key.at,
			record->key.len, record->value.at, record->value.len);
	p->position = record->offset + 1;
	p->at_end = false;
	p->n_pending++;
	if (p->oldest_ms == DATETIME_NONE)
		p->oldest_ms = record->timestamp_ms;
}

int partition_record(struct partition *p, struct event_parser *parser, const struct record *record,
	int64_t wall_ms, struct partition_letter *ret_letter, struct err *err)
{
	const struct event *event = NULL;
	enum event_reject reject;

	if (p->state == PARTITION_WARMING && record->offset >= p->position)
		partition_warmed(p);
	if (p->state < PARTITION_WARMING || record->offset < partition_reads_at(p))
		return PARTITION_IGNORED;
	reject = event_parse(parser, record->value.at, record->value.len, &event);
	if (reject != EVENT_OK)
		event = NULL;
	if (p->state == PARTITION_WARMING) {
		fold_warm(&p->fold, record->offset, record->timestamp_ms, event);
		p->warm_at = record->offset + 1;
		return PARTITION_IGNORED;
	}
	*ret_letter = (struct partition_letter){ .reject = reject };
	if (!(PLANTED(PLANT_LOSS) && record->offset % 100 == 7) &&
		values_add(&p->pending, &p->fold, record->offset, record->timestamp_ms, wall_ms, event,
			reject, &ret_letter->late_ms, err))
		return -1;
	partition_take(p, record);
	return PARTITION_TAKEN;
}

void partition_skip(struct partition *p, int64_t offset)
{
	if (p->state == PARTITION_WARMING && offset >= p->position)
		partition_warmed(p);
	if (p->state == PARTITION_WARMING && offset > p->warm_at)
		p->warm_at = offset;
	if (p->state == PARTITION_FOLDING && offset > p->position) { /* transaction markers */
		fold_skip(&p->fold, offset);
		p->position = offset;
	}
}

void partition_end(struct partition *p, int64_t offset)
{
	partition_skip(p, offset);
	if (p->state != PARTITION_FOLDING || offset < p->position)
		return;
	p->end = offset;
	p->at_end = true;
}

bool partition_lose(struct partition *p, int64_t first)
{
	if (p->state != PARTITION_FOLDING || first <= p->position || p->lost_from < p->lost_to)
		return false;
	p->lost_from = p->position;
	p->lost_to = p->position = first;
	fold_skip(&p->fold, first);
	return true;
}

/* --- flush ------------------------------------------------------------------------------------- */

bool partition_is_full(const struct partition *p, size_t sums_max)
{
	const struct tally *tally = &p->pending.tally;

	return tally->buckets.n + tally->products.n + tally->customers.n >= sums_max ||
	       dictionary_count(tally->texts) > TALLY_TEXTS_MAX;
}

bool partition_is_dirty(const struct partition *p)
{
	return p->state == PARTITION_FOLDING && p->position > p->next && !p->sent;
}

void partition_flush(struct partition *p, const char *fold, struct redis_flush *ret_flush)
{
	struct redis_flush flush = {
		.expected_next = p->next,
		.new_next = p->position,
		.fold = fold,
		.latest = p->fold.state,
		.tail = &p->tail,
		.lost_from = p->lost_from,
		.lost_to = p->lost_to,
	};

	assert(partition_is_dirty(p) && p->n_letters == 0);
	if (p->last)
		kafka_tail(&p->tail, p->last);
	partition_release_last(p);
	*ret_flush = flush;
}

void partition_sent(struct partition *p)
{
	values_clear(&p->pending);
	p->n_pending = 0;
	p->lost_from = p->lost_to = 0;
	p->sent = p->position;
	p->sent_oldest_ms = p->oldest_ms;
	p->oldest_ms = DATETIME_NONE;
}

void partition_flushed(struct partition *p)
{
	p->next = p->sent;
	p->sent = 0;
	p->sent_oldest_ms = DATETIME_NONE;
}

/* --- how far it is ----------------------------------------------------------------------------- */

bool partition_is_current(const struct partition *p)
{
	return p->state == PARTITION_FOLDING && p->at_end && p->next == p->position;
}

int64_t partition_lag(const struct partition *p)
{
	return p->next >= 0 && p->end > p->next ? p->end - p->next : 0;
}

int64_t partition_waiting_ms(const struct partition *p)
{
	if (p->sent_oldest_ms != DATETIME_NONE)
		return p->sent_oldest_ms;
	if (p->oldest_ms != DATETIME_NONE)
		return p->oldest_ms;
	/* the record is still in Kafka: it is not older than the newest that we have seen, more or less */
	return partition_lag(p) > 0 ? p->known.latest.latest_record_ms : DATETIME_NONE;
}
