/* The law, for random logs and every cut point: batch(all) == batch(below cut) + speed(from cut), to the last
 * decimal; and what speed says about a record does not depend on where, how often or by whom the reading was
 * begun again. */
#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/kernel/fold.h"
#include "common/zone.h"
#include "tests/unit/unit.h"

enum { N_PARTITIONS = 3, N_RECORDS = 120 };

struct record {
	int partition;
	int64_t offset, record_ms;
	int id; /* -1: broken */
	char value[640];
	/* found out once */
	bool first; /* of its id, over all history */
	int64_t latest_ms; /* greatest record timestamp up to here in its partition */
	enum verdict verdict;
	int64_t late_ms;
	struct fold_state after; /* the state of its partition behind it */
};

struct log {
	struct record records[N_RECORDS]; /* in order of arrival */
	struct fold_rules rules;
	int64_t slack;
	int n_ids;
};

static struct calendar calendar;
static struct event_parser *parser;

/* --- making logs -------------------------------------------------------------------------------- */

static const char *const broken[] = { "", "{", "[]", "{}", "{\"event_id\":1}", "\xff",
	"{\"schema_version\":2}", "{\"event_id\":\"\"}", "{\"type\":\"x\"}", "{\"currency\":\"XXX\"}",
	"{\"event_time\":\"yesterday\"}" };

static void record_write(struct record *record, int64_t event_ms, struct unit_random *random)
{
	static const char *const currencies[] = { "GBP", "EUR", "JPY" };
	static const char *const customers[] = { "null", "\"a\"", "\"b/%\"", "\"s1\"" };
	size_t size = sizeof(record->value), len;
	char time[DATETIME_TEXT_MAX];

	datetime_format(event_ms, time);
	len = (size_t)snprintf(record->value, size,
		"{\"event_id\":\"%d-%d\",\"type\":\"order_%s\",\"order_id\":\"o\",\"customer_id\":%s,"
		"\"event_time\":\"%s\","
		"\"currency\":\"%s\",\"lines\":[",
		record->partition, record->id, unit_random_chance(random, 20) ? "refunded" : "placed",
		customers[unit_random_below(random, 4)], time, currencies[unit_random_below(random, 3)]);
	for (int64_t n = unit_random_below(random, 4); n >= 0; n--)
		len += (size_t)snprintf(record->value + len, size - len,
			"{\"sku\":\"s%d\",\"quantity\":%d,\"unit_price\":\"%d.%04d\"}%s",
			(int)unit_random_below(random, 5), 1 + (int)unit_random_below(random, 100),
			(int)unit_random_below(random, 1000), (int)unit_random_below(random, 10000),
			n ? "," : "]}");
	assert_true(len < size);
}

/* An earlier record of that partition, whose id stands within the horizon of `record`, or anywhere; NULL when
 * there is none. */
static const struct record *log_pick(
	const struct log *log, int n, const struct record *record, bool within, struct unit_random *random)
{
	for (int tries = 0; tries < 20 && n; tries++) {
		const struct record *older = &log->records[unit_random_below(random, n)];

		if (older->partition != record->partition || older->id < 0)
			continue;
		for (int i = (int)(older - log->records) + 1; i < n;
			i++) /* the last one with that id decides */
			if (log->records[i].id == older->id)
				older = &log->records[i];
		if (!within || (record->offset - older->offset <= log->rules.horizon_records &&
				       record->latest_ms - older->record_ms <= log->rules.horizon_ms))
			return older;
	}
	return NULL;
}

static void log_make(struct log *log, bool within, struct unit_random *random)
{
	int64_t offsets[N_PARTITIONS], latest_ms[N_PARTITIONS],
		now_ms = INT64_C(1319900000000); /* a 25-hour day */
	int gaps = (int)unit_random_below(random, 30), disorder = (int)unit_random_below(random, 40);
	int duplicates = (int)unit_random_below(random, 50), rejected = (int)unit_random_below(random, 25);

	log->rules = (struct fold_rules){ &calendar, 1 + unit_random_below(random, 40),
		unit_random_below(random, 400000), unit_random_below(random, 120000),
		unit_random_below(random, 120000), !within && unit_random_chance(random, 50), true };
	log->slack = unit_random_below(random, 30);
	log->n_ids = 0;
	for (int p = 0; p < N_PARTITIONS; p++) {
		offsets[p] = unit_random_below(random, 30);
		latest_ms[p] = DATETIME_NONE;
	}
	for (int i = 0; i < N_RECORDS; i++) {
		struct record *record = &log->records[i];
		const struct record *older;
		int64_t event_ms;
		int p = (int)unit_random_below(random, N_PARTITIONS);

		if (unit_random_chance(random, gaps))
			offsets[p] += unit_random_below(random, 10);
		now_ms += unit_random_below(random, 20000);
		*record = (struct record){ .partition = p, .offset = offsets[p]++, .record_ms = now_ms };
		if (unit_random_chance(random, disorder))
			record->record_ms += unit_random_below(random, 400000) - 200000;
		if (record->record_ms > latest_ms[p])
			latest_ms[p] = record->record_ms;
		record->latest_ms = latest_ms[p];
		older = unit_random_chance(random, duplicates) ? log_pick(log, i, record, within, random)
							       : NULL;
		record->id = older ? older->id : log->n_ids++;
		event_ms =
			now_ms - unit_random_below(random, unit_random_chance(random, 10) ? 90000000 : 60000);
		if (unit_random_chance(random, 5))
			event_ms += 3600000;
		if (unit_random_chance(random, rejected)) {
			record->id = -1;
			snprintf(record->value, sizeof(record->value), "%s",
				broken[unit_random_below(random, ARRAY_SIZE(broken))]);
		} else {
			record_write(record, event_ms, random);
		}
	}
}

/* --- sums --------------------------------------------------------------------------------------- */

static void tally_event(struct tally *tally, const struct event *event)
{
	struct err err;

	if (tally_add(tally, &calendar, event, &err))
		fail_msg("%s", err.msg);
}

static void tally_late(struct tally *tally, const struct event *event, int64_t late_ms)
{
	struct err err;

	if (tally_add_late(tally, &calendar, event, late_ms, &err))
		fail_msg("%s", err.msg);
}

static void sums_merge(struct tally *sum, const struct tally *more)
{
	struct err err;

	assert_int_equal(tally_merge(sum, more, &err), 0);
	counters_add(&sum->counters, &more->counters);
}

static void sums_init(struct tally *sum)
{
	tally_init(sum);
	sum->customers_from_ms = 0;
}

/* Every sum of `a` is in `b`; what is in neither is nothing, and so is a sum of zeros. */
static void assert_part_of(const struct tally *a, const struct tally *b)
{
	static const struct revenue no_revenue;

	for (size_t i = 0; i < a->buckets.n; i++) {
		const struct bucket *bucket = table_at(&a->buckets, i),
				    *other = table_find(&b->buckets, &bucket->key);

		assert_memory_equal(
			&bucket->revenue, other ? &other->revenue : &no_revenue, sizeof(no_revenue));
	}
	for (size_t i = 0; i < a->products.n; i++) {
		const struct product *product = table_at(&a->products, i), *other;
		struct product_key key = product->key;

		key.sku = dictionary_put(b->texts, dictionary_get(a->texts, key.sku));
		other = table_find(&b->products, &key);
		assert_true(product->net_e4 == (other ? other->net_e4 : 0));
		assert_true(product->units == (other ? other->units : 0));
	}
	for (size_t i = 0; i < a->customers.n; i++) {
		const struct customer_minute *minute = table_at(&a->customers, i), *other;
		struct customer_key key = minute->key;

		key.customer = dictionary_put(b->texts, dictionary_get(a->texts, key.customer));
		other = table_find(&b->customers, &key);
		assert_memory_equal(
			&minute->revenue, other ? &other->revenue : &no_revenue, sizeof(no_revenue));
	}
}

static void assert_same(const struct tally *a, const struct tally *b)
{
	assert_part_of(a, b);
	assert_part_of(b, a);
}

/* --- folding ------------------------------------------------------------------------------------ */

static const struct event *record_event(const struct record *record, enum event_reject *ret_reject)
{
	const struct event *event = NULL;

	*ret_reject = event_parse(parser, record->value, strlen(record->value), &event);
	assert_int_equal(event == NULL, record->id < 0);
	return event;
}

/* What batch does: the first of each id counts, over all history. */
static void log_fold_exactly(const struct log *log, int from, int to, struct tally *tally)
{
	for (int i = from; i < to; i++) {
		enum event_reject reject;
		const struct event *event = record_event(&log->records[i], &reject);

		tally->counters.records++;
		if (!event) {
			tally->counters.rejected[reject]++;
		} else if (log->records[i].first) {
			tally->counters.counted++;
			tally_event(tally, event);
		} else {
			tally->counters.duplicate++;
		}
	}
}

/* The next record of that partition at or behind place i; N_RECORDS when there is none. */
static int log_next(const struct log *log, int partition, int i)
{
	while (i < N_RECORDS && log->records[i].partition != partition)
		i++;
	return i;
}

/* The state of that partition before place i. */
static struct fold_state log_state(const struct log *log, int partition, int i)
{
	while (i-- > 0)
		if (log->records[i].partition == partition)
			return log->records[i].after;
	return FOLD_STATE_NONE;
}

/* The offset at which a reader of that partition stands who has read all before place i. */
static int64_t log_offset(const struct log *log, int partition, int i)
{
	while (i-- > 0)
		if (log->records[i].partition == partition)
			return log->records[i].offset + 1;
	return 0;
}

/* Reads again what the horizon needs for going on at place i, and not one record more. */
static void log_warm(
	const struct log *log, int partition, int i, const struct fold_state *state, struct fold *fold)
{
	int64_t oldest_ms = horizon_oldest_record_ms(&fold->horizon, state->latest_record_ms);
	int64_t from = log_offset(log, partition, i) - log->rules.horizon_records;
	int j = log_next(log, partition, 0);

	while (j < i && (log->records[j].offset < from ||
				(oldest_ms != DATETIME_NONE && log->records[j].record_ms < oldest_ms))) {
		/* the first one that is young enough opens the rest, whatever their timestamps */
		if (log->records[j].record_ms >= oldest_ms)
			oldest_ms = DATETIME_NONE;
		j = log_next(log, partition, j + 1);
	}
	horizon_start(&fold->horizon, j < i ? log->records[j].offset : log_offset(log, partition, i),
		state->latest_record_ms);
	for (; j < i; j = log_next(log, partition, j + 1)) {
		enum event_reject reject;
		const struct event *event = record_event(&log->records[j], &reject);

		fold_warm(fold, log->records[j].offset, log->records[j].record_ms, event);
	}
}

static void log_resume(
	const struct log *log, int partition, int i, const struct fold_state *state, struct fold *fold)
{
	if (!fold_resume(fold, log_offset(log, partition, i), state))
		log_warm(log, partition, i, state, fold);
}

static void fold_open(const struct log *log, struct fold *fold)
{
	fold_init(fold, &log->rules);
	fold->horizon.slack = log->slack;
}

static enum verdict fold_take(
	struct fold *fold, const struct record *record, struct tally *tally, int64_t *ret_late_ms)
{
	enum event_reject reject;
	const struct event *event = record_event(record, &reject);
	enum verdict verdict = fold_record(
		fold, record->offset, record->record_ms, event, reject, &tally->counters, ret_late_ms);

	if (verdict == VERDICT_COUNTED)
		tally_event(tally, event);
	if (*ret_late_ms)
		tally_late(tally, event, *ret_late_ms);
	return verdict;
}

/* Finds out, from the very start, what is first and what the fold says about each record. */
static void log_judge(struct log *log)
{
	struct tally tally;

	sums_init(&tally);
	for (int p = 0; p < N_PARTITIONS; p++) {
		struct fold fold;

		fold_open(log, &fold);
		assert_false(fold_resume(&fold, 0, &FOLD_STATE_NONE));
		horizon_start(&fold.horizon, 0, DATETIME_NONE);
		for (int i = log_next(log, p, 0); i < N_RECORDS; i = log_next(log, p, i + 1)) {
			struct record *record = &log->records[i];

			record->first = record->id >= 0;
			for (int j = 0; j < i; j++)
				if (log->records[j].id == record->id)
					record->first = false;
			record->verdict = fold_take(&fold, record, &tally, &record->late_ms);
			record->after = fold.state;
			assert_int_equal(record->after.latest_record_ms, record->latest_ms);
		}
		fold_release(&fold);
	}
	tally_release(&tally);
}

/* --- the law ------------------------------------------------------------------------------------ */

/* speed, from place `cut` on: flushes now and then, loses what it has not flushed now and then, and goes on.
 */
static void log_fold_as_speed(
	const struct log *log, int partition, int cut, struct unit_random *random, struct tally *flushed)
{
	struct fold_state state = log_state(log, partition, cut);
	int next = cut; /* the first place that has not been flushed */
	struct tally pending;
	struct fold fold;

	fold_open(log, &fold);
	sums_init(&pending);
	log_resume(log, partition, next, &state, &fold);
	for (int i = log_next(log, partition, next); i < N_RECORDS;) {
		const struct record *record = &log->records[i];
		int64_t late_ms;

		assert_int_equal(fold_take(&fold, record, &pending, &late_ms), record->verdict);
		assert_int_equal(late_ms, record->late_ms);
		assert_memory_equal(&fold.state, &record->after, sizeof(fold.state));
		i = log_next(log, partition, i + 1);
		if (unit_random_chance(random, 20)) { /* a flush */
			sums_merge(flushed, &pending);
			tally_clear(&pending);
			next = i;
			state = fold.state;
		} else if (unit_random_chance(random, 5)) { /* refused; or a new owner */
			tally_clear(&pending);
			if (unit_random_chance(random, 30)) {
				fold_release(&fold);
				fold_open(log, &fold);
			}
			log_resume(log, partition, next, &state, &fold);
			i = log_next(log, partition, next);
		}
	}
	sums_merge(flushed, &pending);
	tally_release(&pending);
	fold_release(&fold);
}

static void check_cut(const struct log *log, int cut, const struct tally *below, const struct tally *all,
	bool within, struct unit_random *random)
{
	struct tally sum;
	struct counters *counters = &sum.counters;

	sums_init(&sum);
	for (int p = 0; p < N_PARTITIONS; p++)
		log_fold_as_speed(log, p, cut, random, &sum);
	assert_int_equal(counters->records, N_RECORDS - cut);
	assert_int_equal(counters->records,
		counters->counted + counters->duplicate + counters->excluded + counters_rejected(counters));
	assert_int_equal(counters->excluded, log->rules.exclude_late ? counters->late : 0);
	if (within) {
		sums_merge(&sum, below);
		assert_same(&sum, all);
		counters->late = 0; /* no business of the exact fold */
		assert_memory_equal(counters, &all->counters, sizeof(*counters));
	}
	tally_release(&sum);
}

static void check_log(const struct log *log, bool within, struct unit_random *random)
{
	struct tally all, below;

	sums_init(&all);
	sums_init(&below);
	log_fold_exactly(log, 0, N_RECORDS, &all);
	for (int cut = 0; cut <= N_RECORDS; cut++) {
		check_cut(log, cut, &below, &all, within, random);
		if (cut < N_RECORDS)
			log_fold_exactly(log, cut, cut + 1, &below);
	}
	assert_same(&below, &all);
	tally_release(&all);
	tally_release(&below);
}

static void run(const char *test, bool within)
{
	struct unit_random random = { unit_seed(test) };
	struct log *log = calloc(1, sizeof(*log));

	assert_non_null(log);
	for (int i = 0; i < 25; i++) {
		log_make(log, within, &random);
		log_judge(log);
		check_log(log, within, &random);
	}
	free(log);
}

/* Duplicates within the horizon: the sums are batch's. */
static void test_law(void **state)
{
	(void)state;
	run(__func__, true);
}

/* Duplicates anywhere: then speed may count some twice, but every reader the same ones (batch explains them
 * one by one). */
static void test_same_verdicts(void **state)
{
	(void)state;
	run(__func__, false);
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	parser = event_parser_new();
	return zone_load("Europe/London", &calendar, &err);
}

static int teardown(void **state)
{
	(void)state;
	event_parser_free(parser);
	calendar_release(&calendar);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_law),
		cmocka_unit_test(test_same_verdicts),
	};

	return cmocka_run_group_tests_name("law", tests, setup, teardown);
}
