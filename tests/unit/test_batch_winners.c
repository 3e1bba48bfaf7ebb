/* From records to sums and corrections, against a simple model: random logs of several partitions with
 * duplicates within and beyond speed's horizon, in one partition and across, broken records, a base's cut
 * anywhere, spilled or not. */
#include "common/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "batch/corrections.h"
#include "batch/reader.h"
#include "batch/winners.h"
#include "common/kernel/currency.h"
#include "common/mem.h"
#include "common/zone.h"

enum { N_PARTS = 3, N_MAX = 80, N_DAYS = 3 };

/* One record of the model. */
struct made {
	int partition, id; /* id < 0: broken */
	int64_t offset, record_ms, net_e4;
	int day;
	bool speed, base, counts; /* counted by speed's rules; by the base run; by the new run */
	bool excluded; /* left out by speed's rules, because it is late */
	int64_t late_ms; /* 0: not late */
};

struct log {
	struct made made[N_PARTS * N_MAX];
	int n;
	int64_t end[N_PARTS], base_cut[N_PARTS];
	bool has_base;
};

struct totals {
	int64_t base, speed, after, beyond, other, excluded, late;
	int64_t n_beyond, n_other, n_excluded, n_late, worst_ms;
};

static struct config config;
static uint64_t random_state;

static int random_below(int n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (int)(random_state % (uint64_t)n);
}

static void make_log(struct log *log)
{
	int disorder_ms = random_below(2) ? 60 : 2000;

	*log = (struct log){ .has_base = random_below(4) > 0 };
	for (int p = 0; p < N_PARTS; p++) {
		int n = random_below(N_MAX);

		for (int i = 0; i < n; i++) {
			struct made *made = &log->made[log->n++];

			log->end[p] += 1 + random_below(2); /* with gaps */
			*made = (struct made){ .partition = p, .offset = log->end[p] - 1 };
			made->id = random_below(10) ? random_below(40) : -1;
			made->record_ms = 1000 + i * 10 + random_below(disorder_ms);
			made->net_e4 = (1 + random_below(1000)) * INT64_C(10000) * (random_below(5) ? 1 : -1);
			made->day = random_below(N_DAYS);
		}
		log->base_cut[p] = log->has_base ? random_below((int)log->end[p] + 1) : 0;
	}
}

/* --- the model
 * ------------------------------------------------------------------------------------------------------ */

/* T: the greatest timestamp up to and including a record. */
static int64_t model_latest(const struct log *log, int at)
{
	int64_t latest = INT64_MIN;

	for (int i = 0; i <= at; i++)
		if (log->made[i].partition == log->made[at].partition && log->made[i].record_ms > latest)
			latest = log->made[i].record_ms;
	return latest;
}

static bool model_speed(const struct log *log, int at)
{
	const struct made *made = &log->made[at];

	for (int i = at - 1; i >= 0; i--) {
		const struct made *older = &log->made[i];

		if (older->partition != made->partition || older->id != made->id)
			continue;
		return made->offset - older->offset > config.rules.horizon_records ||
		       model_latest(log, at) - older->record_ms > config.rules.horizon_ms;
	}
	return true;
}

/* The index of the record that counts for an id among those below the cuts, or -1. */
static int model_winner(const struct log *log, int id, const int64_t *below)
{
	int winner = -1;

	for (int p = 0; p < N_PARTS; p++) {
		for (int i = 0; i < log->n; i++) {
			const struct made *made = &log->made[i];

			if (made->partition != p || made->id != id || made->offset >= below[p])
				continue;
			if (winner < 0 || made->record_ms < log->made[winner].record_ms)
				winner = i;
			break; /* the first of the partition stands for it */
		}
	}
	return winner;
}

/* Every event is of noon of its day. */
static int64_t model_late_ms(const struct log *log, int at)
{
	const struct made *made = &log->made[at];
	int latest = -1;

	for (int i = 0; i < at; i++)
		if (log->made[i].partition == made->partition && log->made[i].id >= 0 &&
			log->made[i].day > latest)
			latest = log->made[i].day;
	return latest > made->day ? (latest - made->day) * INT64_C(86400000) : 0;
}

static void model_late(const struct made *made, struct totals *t)
{
	if (!made->counts)
		return;
	if (made->excluded) {
		t->excluded += made->net_e4;
		t->n_excluded++;
	}
	if (made->late_ms) {
		t->late += made->net_e4;
		t->n_late++;
		t->worst_ms = made->late_ms > t->worst_ms ? made->late_ms : t->worst_ms;
	}
}

static void model(struct log *log, struct totals totals[N_DAYS])
{
	memset(totals, 0, N_DAYS * sizeof(*totals));
	for (int i = 0; i < log->n; i++) {
		struct made *made = &log->made[i];
		struct totals *t = &totals[made->day];
		bool below = made->offset < log->base_cut[made->partition];
		int winner;

		if (made->id < 0)
			continue;
		winner = model_winner(log, made->id, log->end);
		made->counts = winner == i;
		made->base = log->has_base && below && model_winner(log, made->id, log->base_cut) == i;
		made->speed = !below && model_speed(log, i);
		made->late_ms = model_late_ms(log, i);
		made->excluded = made->speed && made->late_ms && config.rules.exclude_late;
		made->speed &= !made->excluded;
		model_late(made, t);
		t->base += made->base ? made->net_e4 : 0;
		t->speed += made->speed ? made->net_e4 : 0;
		t->after += made->counts ? made->net_e4 : 0;
		if (made->speed && !made->counts && log->made[winner].partition == made->partition) {
			t->beyond -= made->net_e4;
			t->n_beyond++;
		} else if ((made->speed || made->base) && !made->counts) {
			t->other -= made->net_e4;
			t->n_other++;
		}
	}
}

/* --- the code
 * ------------------------------------------------------------------------------------------------------- */

static void feed(struct reader *reader, struct part *part, const struct made *made)
{
	char value[400];
	int64_t amount = made->net_e4 < 0 ? -made->net_e4 : made->net_e4;
	struct record record = {
		.part = part, .offset = made->offset, .timestamp_ms = made->record_ms, .value = value
	};
	struct err err;

	record.value_len = (size_t)snprintf(value, sizeof(value),
		"{\"event_id\":\"e%d\",\"type\":\"%s\",\"order_id\":\"o\","
		"\"customer_id\":\"c%d\",\"event_time\":\"2026-01-%02dT12:00:00Z\",\"currency\":\"GBP\","
		"\"lines\":[{\"sku\":\"s%d\","
		"\"name\":\"n%" PRId64 "\",\"quantity\":1,\"unit_price\":\"%" PRId64 "\"}]}",
		made->id, made->net_e4 < 0 ? "order_refunded" : "order_placed", made->id % 5, made->day + 1,
		made->id % 3, made->offset, amount / 10000);
	if (made->id < 0)
		record.value_len /= 2;
	assert_int_equal(reader_record(reader, &record, &err), 0);
	part->next = made->offset + 1;
}

/* Partitions come mixed, each in its order. */
static void feed_all(const struct log *log, struct reader readers[2], struct part parts[N_PARTS])
{
	int next[N_PARTS] = { 0 };

	for (int left = log->n; left;) {
		int p = random_below(N_PARTS);

		while (next[p] < log->n && log->made[next[p]].partition != p)
			next[p]++;
		if (next[p] == log->n)
			continue;
		feed(&readers[p ? 1 : 0], &parts[p], &log->made[next[p]++]);
		left--;
	}
}

struct outcome {
	struct winners winners;
	struct customers customers;
	struct ledger ledger;
	struct counters counters;
	int64_t spilled_bytes;
};

/* The first day is too old to be kept by customer. */
static int64_t customers_from_ms(void)
{
	return date_from_civil(2026, 1, 2) * INT64_C(86400000);
}

/* Two readers, the second with two partitions. */
static void run_code(const struct log *log, bool spill, struct outcome *outcome)
{
	struct bins_plan plan = {
		.n_bins = 4, .block_bytes = 256, .writer_bytes = spill ? 1 : 1 << 30, .spill_dir = "/tmp"
	};
	struct part parts[N_PARTS];
	struct reader readers[2];
	struct winners_source sources[2];
	struct err err;

	customers_init(&outcome->customers, spill ? 0 : 1 << 30, "/tmp");
	winners_init(&outcome->winners, &config.calendar, customers_from_ms(), &outcome->customers);
	ledger_init(&outcome->ledger);
	outcome->counters = (struct counters){ 0 };
	outcome->spilled_bytes = 0;
	for (int i = 0; i < 2; i++) {
		reader_init(&readers[i], &config, &plan, true, NULL);
		sources[i] = (struct winners_source){ &readers[i].bins, readers[i].texts };
	}
	for (int p = 0; p < N_PARTS; p++) {
		parts[p] = (struct part){ .partition = p, .base_cut = log->base_cut[p], .cut = log->end[p] };
		reader_add(&readers[p ? 1 : 0], &parts[p]);
	}
	for (int i = 0; i < 2; i++)
		reader_begin(&readers[i]);
	feed_all(log, readers, parts);
	for (int i = 0; i < 2; i++) {
		reader_finish(&readers[i]);
		counters_add(&outcome->counters, &readers[i].counters);
		outcome->spilled_bytes += readers[i].bins.spill.bytes;
		assert_int_equal(ledger_merge(&outcome->ledger, &readers[i].ledger, &err), 0);
	}
	for (unsigned bin = 0; bin < plan.n_bins; bin++)
		assert_int_equal(winners_bin(&outcome->winners, sources, 2, bin, &err), 0);
	assert_int_equal(ledger_merge(&outcome->ledger, &outcome->winners.ledger, &err), 0);
	for (int i = 0; i < 2; i++)
		reader_release(&readers[i]);
}

static void add(struct ledger *ledger, int day, enum ledger_kind kind, int partition, int64_t net_e4)
{
	struct ledger_key key = { date_from_civil(2026, 1, day + 1), currency_find((struct text){ "GBP", 3 }),
		(int32_t)kind, partition };
	struct err err;

	assert_int_equal(ledger_add(ledger, key, net_e4, 0, &err), 0);
}

static void check_sums(const struct log *log, const struct totals *totals, const struct outcome *outcome)
{
	const struct counters *c = &outcome->winners.tally.counters;
	int64_t by_day[N_DAYS] = { 0 }, n_counted = 0;

	for (int i = 0; i < log->n; i++)
		n_counted += log->made[i].counts;
	assert_int_equal(c->counted, n_counted);
	assert_int_equal(outcome->counters.records, log->n);
	assert_int_equal(c->counted + c->duplicate + counters_rejected(&outcome->counters), log->n);
	for (size_t i = 0; i < outcome->winners.tally.buckets.n; i++) {
		const struct bucket *bucket = table_at(&outcome->winners.tally.buckets, i);
		int day = bucket->key.minute / 1440 - date_from_civil(2026, 1, 1);

		by_day[day] += bucket->revenue.gross_e4 - bucket->revenue.refunds_e4;
	}
	for (int day = 0; day < N_DAYS; day++)
		assert_int_equal(by_day[day], totals[day].after);
}

static void check_late(const struct totals *totals, const struct tally *tally)
{
	int64_t n_late = 0;

	for (int day = 0; day < N_DAYS; day++) {
		struct late_key key = { date_from_civil(2026, 1, day + 1),
			currency_find((struct text){ "GBP", 3 }) };
		const struct late_day *late = table_find(&tally->late, &key);

		assert_int_equal(late ? late->events : 0, totals[day].n_late);
		assert_int_equal(late ? late->net_e4 : 0, totals[day].late);
		assert_int_equal(late ? late->worst_ms : 0, totals[day].worst_ms);
		n_late += totals[day].n_late;
	}
	assert_int_equal(tally->counters.late, n_late);
}

static void check_customers(const struct log *log, const struct tally *tally)
{
	int64_t net[N_DAYS][5] = { { 0 } };

	for (int i = 0; i < log->n; i++)
		if (log->made[i].counts && log->made[i].day)
			net[log->made[i].day][log->made[i].id % 5] += log->made[i].net_e4;
	for (size_t i = 0; i < tally->customers.n; i++) {
		const struct customer_minute *minute = table_at(&tally->customers, i);
		struct text id = dictionary_get(tally->texts, minute->key.customer);
		int day = minute->key.minute / 1440 - date_from_civil(2026, 1, 1);

		assert_true(id.len == 2 && id.at[0] == 'c' && minute->key.minute % 1440 == 720);
		net[day][id.at[1] - '0'] -= minute->revenue.gross_e4 - minute->revenue.refunds_e4;
	}
	for (int day = 0; day < N_DAYS; day++)
		for (int customer = 0; customer < 5; customer++)
			assert_int_equal(net[day][customer], 0);
}

struct customer_check {
	int64_t orders[5], refunds[5], net[5];
	int first[5], last[5];
	int64_t n_sums;
};

static int check_customer_sum(void *arg, const struct customer_sum *sum, struct err *err)
{
	struct customer_check *check = arg;
	int customer = sum->customer.at[1] - '0';

	(void)err;
	assert_true(sum->customer.len == 2 && sum->customer.at[0] == 'c' && customer >= 0 && customer < 5);
	assert_int_equal(sum->revenue.units, 0);
	check->orders[customer] += sum->revenue.orders;
	check->refunds[customer] += sum->revenue.refund_count;
	check->net[customer] += sum->revenue.gross_e4 - sum->revenue.refunds_e4;
	if (sum->first_minute < check->first[customer])
		check->first[customer] = sum->first_minute;
	if (sum->last_minute > check->last[customer])
		check->last[customer] = sum->last_minute;
	check->n_sums++;
	return 0;
}

/* Over all history, in memory or from the file; twice, for storing may be tried again. */
static void check_customer_sums(const struct log *log, struct customers *customers)
{
	for (int twice = 0; twice < 2; twice++) {
		struct customer_check got = { .n_sums = 0 };
		int64_t orders[5] = { 0 }, refunds[5] = { 0 }, net[5] = { 0 };
		int first[5], last[5];
		struct err err;

		for (int i = 0; i < 5; i++) {
			got.first[i] = first[i] = INT32_MAX;
			got.last[i] = last[i] = INT32_MIN;
		}
		for (int i = 0; i < log->n; i++) {
			int c = log->made[i].id % 5;
			int minute = (date_from_civil(2026, 1, log->made[i].day + 1)) * 1440 + 720;

			if (!log->made[i].counts)
				continue;
			net[c] += log->made[i].net_e4;
			refunds[c] += log->made[i].net_e4 < 0;
			orders[c] += log->made[i].net_e4 >= 0;
			if (log->made[i].net_e4 < 0)
				continue;
			first[c] = minute < first[c] ? minute : first[c];
			last[c] = minute > last[c] ? minute : last[c];
		}
		assert_int_equal(customers_each(customers, check_customer_sum, &got, &err), 0);
		assert_int_equal(got.n_sums, customers_count(customers));
		assert_memory_equal(got.orders, orders, sizeof(orders));
		assert_memory_equal(got.refunds, refunds, sizeof(refunds));
		assert_memory_equal(got.net, net, sizeof(net));
		assert_memory_equal(got.first, first, sizeof(first));
		assert_memory_equal(got.last, last, sizeof(last));
	}
}

static void check_correction(const struct table *corrections, int day, const struct totals *t,
	int64_t recomputed, int64_t unexplained)
{
	int32_t key[2] = { date_from_civil(2026, 1, day + 1), currency_find((struct text){ "GBP", 3 }) };
	const struct correction *c = table_find(corrections, key);
	bool needed = t->n_beyond || t->n_other || t->n_excluded || recomputed || unexplained;

	assert_int_equal(c != NULL, needed);
	if (!c)
		return;
	assert_int_equal(c->after_e4, t->after);
	assert_int_equal(c->before_e4, t->base + t->speed - recomputed - unexplained);
	assert_int_equal(c->net_e4[CORRECTION_DUPLICATE_BEYOND_HORIZON], t->beyond);
	assert_int_equal(c->events[CORRECTION_DUPLICATE_BEYOND_HORIZON], t->n_beyond);
	assert_int_equal(c->net_e4[CORRECTION_DUPLICATE_OTHER_PARTITION], t->other);
	assert_int_equal(c->events[CORRECTION_DUPLICATE_OTHER_PARTITION], t->n_other);
	assert_int_equal(c->net_e4[CORRECTION_LATE_EXCLUDED], t->excluded);
	assert_int_equal(c->events[CORRECTION_LATE_EXCLUDED], t->n_excluded);
	assert_int_equal(c->net_e4[CORRECTION_RECOMPUTED], recomputed);
	assert_int_equal(c->net_e4[CORRECTION_UNEXPLAINED], unexplained);
}

/* wrong: what speed said too little on day 0 in partition 0; wrong_base: what the base run had too little on
 * day 1. */
static void check_corrections(const struct log *log, const struct totals *totals, struct ledger *ledger,
	int64_t wrong, int64_t wrong_base, bool known, bool other_fold)
{
	struct correction_speed speed[N_PARTS] = { { known, other_fold }, { known, false },
		{ false, false } };
	int64_t said[N_PARTS][N_DAYS] = { { 0 } };
	struct table corrections;
	struct err err;

	for (int i = 0; i < log->n; i++)
		if (log->made[i].speed)
			said[log->made[i].partition][log->made[i].day] += log->made[i].net_e4;
	said[0][0] -= wrong;
	for (int day = 0; day < N_DAYS; day++) {
		add(ledger, day, LEDGER_AFTER, 0, totals[day].after);
		if (log->has_base)
			add(ledger, day, LEDGER_BASE_STORED, 0,
				totals[day].base - (day == 1 ? wrong_base : 0));
		for (int p = 0; p < 2; p++)
			add(ledger, day, LEDGER_SAID, p, said[p][day]);
	}
	assert_int_equal(corrections_make(ledger, speed, N_PARTS, &corrections, &err), 0);
	for (int day = 0; day < N_DAYS; day++) {
		int64_t differs = day == 0 && known ? wrong : 0;
		int64_t recomputed =
			(day == 1 && log->has_base ? wrong_base : 0) + (other_fold ? differs : 0);

		check_correction(&corrections, day, &totals[day], recomputed, other_fold ? 0 : differs);
	}
	table_release(&corrections);
}

static void test_random_logs(void **state)
{
	struct totals totals[N_DAYS];
	struct outcome outcome;
	static struct log log;
	int64_t n_spilled = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		config.rules.horizon_records = 1 + random_below(40);
		config.rules.horizon_ms = random_below(300);
		config.rules.exclude_late = random_below(2);
		make_log(&log);
		model(&log, totals);
		run_code(&log, seed % 2, &outcome);
		check_sums(&log, totals, &outcome);
		check_late(totals, &outcome.winners.tally);
		check_customers(&log, &outcome.winners.tally);
		check_customer_sums(&log, &outcome.customers);
		check_corrections(&log, totals, &outcome.ledger, seed % 3 ? 0 : 70000, seed % 5 ? 0 : -30000,
			seed % 7 != 0, seed % 4 == 0);
		n_spilled += outcome.spilled_bytes > 0;
		winners_release(&outcome.winners);
		customers_release(&outcome.customers);
		ledger_release(&outcome.ledger);
	}
	assert_true(n_spilled > 500);
}

static void test_causes_must_add_up(void **state)
{
	const struct correction_speed speed[1] = { { true, false } };
	struct ledger ledger;
	struct table corrections;
	struct err err = { 0 };

	(void)state;
	ledger_init(&ledger);
	add(&ledger, 0, LEDGER_EXPECTED, 0, 1000);
	add(&ledger, 0, LEDGER_SAID, 0, 1000);
	add(&ledger, 0, LEDGER_AFTER, 0, 999);
	assert_int_equal(corrections_make(&ledger, speed, 1, &corrections, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	add(&ledger, 0, LEDGER_BEYOND_HORIZON, 0, -1);
	assert_int_equal(corrections_make(&ledger, speed, 1, &corrections, &err), 0);
	assert_int_equal(corrections.n, 1);
	table_release(&corrections);
	ledger_release(&ledger);
}

static void test_names(void **state)
{
	struct dictionary *skus = dictionary_new(), *more_skus = dictionary_new();
	struct names names, more;

	(void)state;
	names_init(&names);
	names_init(&more);
	dictionary_put(skus, (struct text){ "a", 1 });
	dictionary_put(more_skus, (struct text){ "b", 1 });
	dictionary_put(more_skus, (struct text){ "a", 1 });
	names_see(&names, 0, (struct text){ "old", 3 }, 100, 5, 5);
	names_see(&names, 0, (struct text){ "older", 5 }, 99, 9, 9);
	names_see(&more, 1, (struct text){ "new", 3 }, 100, 6, 1);
	names_see(&more, 0, (struct text){ "", 0 }, 1, 0, 0);
	names_merge(&names, skus, &more, more_skus);
	assert_memory_equal(names_get(&names, 0).at, "new", 3);
	assert_int_equal(names_get(&names, 1).len, 0);
	assert_non_null(names_get(&names, 1).at); /* an empty name is one */
	assert_null(names_get(&names, 2).at);
	names_release(&names);
	names_release(&more);
	dictionary_free(skus);
	dictionary_free(more_skus);
}

/* Every order gives its product another name: only the last of each is kept. */
static void test_names_are_forgotten(void **state)
{
	struct names names;
	char text[32];

	(void)state;
	names_init(&names);
	for (int i = 0; i < 300000; i++) {
		int len = snprintf(text, sizeof(text), "name %d", i);

		names_see(&names, (uint32_t)i % 3, (struct text){ text, (size_t)len }, i, 0, i);
	}
	assert_true(dictionary_count(names.texts) < 100000);
	assert_memory_equal(names_get(&names, 0).at, "name 299997", 11);
	assert_memory_equal(names_get(&names, 2).at, "name 299999", 11);
	names_release(&names);
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	if (zone_load("UTC", &config.calendar, &err))
		return -1;
	config.rules = (struct fold_rules){
		.calendar = &config.calendar, .max_skew_ms = DATETIME_END_MS, .grace_ms = 1800000
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	calendar_release(&config.calendar);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_logs),
		cmocka_unit_test(test_causes_must_add_up),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_are_forgotten),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
