/* First the readers, one thread and one Kafka handle each, fill their bins; then as many threads as there are
 * cores search the bins for each id's winner and add up; then the parts are put together and checked against
 * each other. */
#include "common/base.h"
#include "batch/result.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "batch/batch.h"
#include "batch/reader.h"
#include "common/kernel/currency.h"
#include "common/log.h"
#include "common/mem.h"

enum { RESULT_WATCH_READERS_MS = 50, RESULT_WATCH_SEARCHERS_MS = 5 };

struct result_work {
	const struct config *config;
	struct history *history;
	struct progress *progress;
	bool explain;
	struct replay *replay;
	int64_t customers_from_ms;
	struct bins_plan plan;
	struct reader *readers;
	int n_readers;
	struct winners_source *sources; /* one per reader */
	struct result_searcher *searchers;
	struct customers *customers; /* one per searcher, or NULL */
	int n_searchers;
	_Atomic unsigned next_bin, bins_done;
	_Atomic bool failed;
};

struct result_searcher {
	struct result_work *work;
	struct winners winners;
	pthread_t thread;
	bool started;
	int failed;
	struct err err;
	_Atomic bool ended;
};

static int result_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 64 ? 64 : (int)n;
}

static int64_t result_part_records(const struct part *part)
{
	return part->cut > part->next ? part->cut - part->next : 0;
}

/* --- reading --- */

static int64_t result_reader_load(const struct reader *reader)
{
	int64_t load = 0;

	for (int i = 0; i < reader->n_parts; i++)
		load += result_part_records(reader->parts[i]);
	return load;
}

/* Largest partitions first, each to the reader that has least. */
static void result_share(struct result_work *work)
{
	struct history *history = work->history;
	SCOPED(xfreep) bool *given = xcalloc((size_t)history->n_parts, sizeof(*given));

	for (int n = 0; n < history->n_parts; n++) {
		struct reader *reader = &work->readers[0];
		int largest = -1;

		for (int i = 0; i < history->n_parts; i++)
			if (!given[i] &&
				(largest < 0 || result_part_records(&history->parts[i]) >
							result_part_records(&history->parts[largest])))
				largest = i;
		for (int i = 1; i < work->n_readers; i++)
			if (result_reader_load(&work->readers[i]) < result_reader_load(reader))
				reader = &work->readers[i];
		reader_add(reader, &history->parts[largest]);
		given[largest] = true;
	}
}

static void result_open(struct result_work *work)
{
	const struct config *config = work->config;
	int64_t n_records = 0;

	for (int i = 0; i < work->history->n_parts; i++)
		n_records += result_part_records(&work->history->parts[i]);
	work->n_searchers = result_cores();
	work->n_readers = config->readers ? (int)config->readers : result_cores();
	if (work->n_readers > work->history->n_parts)
		work->n_readers = work->history->n_parts;
	work->plan = bins_plan(n_records, work->n_readers, work->n_searchers, config->memory_bytes,
		WINNERS_BYTES_PER_ID, config->spill_dir);
	if (work->plan.tight)
		log_warn("--memory is little for a log of %" PRId64
			 " records and %d cores: going on, but slower and with more than that",
			n_records, work->n_searchers);
	work->readers = xcalloc((size_t)work->n_readers, sizeof(*work->readers));
	work->sources = xcalloc((size_t)work->n_readers, sizeof(*work->sources));
	for (int i = 0; i < work->n_readers; i++) {
		reader_init(&work->readers[i], config, &work->plan, work->explain, work->replay);
		work->readers[i].keep_ids = !strcmp(config->keep_ids, "yes") && !config->dry_run;
		work->sources[i] = (struct winners_source){ &work->readers[i].bins, work->readers[i].texts };
	}
	result_share(work);
	progress_phase(work->progress, "reading", "records", n_records);
}

/* A reader that fails alone must not leave the others reading for an hour. */
static bool result_readers_over(const struct result_work *work, int64_t *ret_done)
{
	bool all = true, failed = false;

	*ret_done = 0;
	for (int i = 0; i < work->n_readers; i++) {
		struct reader *reader = &work->readers[i];
		bool ended = atomic_load(&reader->ended);

		all &= ended;
		failed |= ended && reader->failed;
		*ret_done += atomic_load_explicit(&reader->n_records, memory_order_relaxed);
	}
	for (int i = 0; failed && i < work->n_readers; i++)
		atomic_store(&work->readers[i].give_up, true);
	return all;
}

static int result_read(struct result_work *work, int64_t *ret_ms, struct err *err)
{
	struct err later;
	int64_t done = 0;
	int failed = 0;

	for (int i = 0; i < work->n_readers; i++)
		reader_start(&work->readers[i]);
	while (!result_readers_over(work, &done)) {
		progress_at(work->progress, done);
		clock_sleep_ms(RESULT_WATCH_READERS_MS); /* the threads see a signal to stop by themselves */
	}
	for (int i = 0; i < work->n_readers; i++) {
		/* the one that gave up because another failed is not the news */
		bool first = !failed || err->code == ERR_STOPPED;

		if (reader_join(&work->readers[i], first ? err : &later))
			failed = -1;
	}
	for (int i = 0; i < work->history->n_parts && !failed; i++)
		assert(work->history->parts[i].next >= work->history->parts[i].cut);
	if (!failed)
		*ret_ms = progress_end(work->progress, done);
	return failed;
}

/* --- searching --- */

static void *result_search(void *arg)
{
	struct result_searcher *searcher = arg;
	struct result_work *work = searcher->work;

	while (!searcher->failed && !atomic_load(&work->failed)) {
		unsigned bin = atomic_fetch_add(&work->next_bin, 1);

		if (bin >= work->plan.n_bins)
			break;
		searcher->failed = batch_stop_asked() ? batch_stopped(&searcher->err)
						      : winners_bin(&searcher->winners, work->sources,
								work->n_readers, bin, &searcher->err);
		if (searcher->failed)
			atomic_store(&work->failed, true);
		atomic_fetch_add(&work->bins_done, 1);
	}
	atomic_store(&searcher->ended, true);
	return NULL;
}

static bool result_searchers_over(const struct result_work *work)
{
	for (int i = 0; i < work->n_searchers; i++)
		if (!atomic_load(&work->searchers[i].ended))
			return false;
	return true;
}

/* A quarter of the memory, beside the half of the bins that are searched: the facts go as they are read. */
static void result_open_customers(struct result_work *work)
{
	size_t max_bytes = (size_t)(work->config->memory_bytes / 4 / work->n_searchers);

	if (!work->config->rules.customers)
		return;
	work->customers = xcalloc((size_t)work->n_searchers, sizeof(*work->customers));
	for (int i = 0; i < work->n_searchers; i++)
		customers_init(&work->customers[i], max_bytes, work->config->spill_dir);
}

static int result_find_winners(struct result_work *work, struct err *err)
{
	int failed = 0;

	progress_phase(work->progress, "folding", "bins", work->plan.n_bins);
	result_open_customers(work);
	work->searchers = xcalloc((size_t)work->n_searchers, sizeof(*work->searchers));
	for (int i = 0; i < work->n_searchers; i++) {
		struct result_searcher *searcher = &work->searchers[i];
		int status;

		searcher->work = work;
		winners_init(&searcher->winners, &work->config->calendar, work->customers_from_ms,
			work->customers ? &work->customers[i] : NULL);
		status = pthread_create(&searcher->thread, NULL, result_search, searcher);
		searcher->started = !status;
		if (status) {
			searcher->failed = batch_no_thread(status, &searcher->err);
			atomic_store(&work->failed, true);
			atomic_store(&searcher->ended, true);
		}
	}
	while (!result_searchers_over(work)) {
		progress_at(work->progress, atomic_load(&work->bins_done));
		clock_sleep_ms(RESULT_WATCH_SEARCHERS_MS);
	}
	for (int i = 0; i < work->n_searchers; i++) {
		struct result_searcher *searcher = &work->searchers[i];

		if (searcher->started)
			pthread_join(searcher->thread, NULL);
		if (searcher->failed && !failed)
			*err = searcher->err;
		failed |= searcher->failed;
	}
	return failed;
}

/* --- putting together --- */

static int result_merge(
	struct result *result, struct result_work *work, struct ledger *ledger, struct err *err)
{
	for (int i = 0; i < work->n_searchers; i++)
		if (winners_merge(&result->sums, &work->searchers[i].winners, err))
			return -1;
	for (int i = 0; i < work->n_searchers && work->customers; i++) {
		result->n_of_customers += work->customers[i].n_events;
		result->spilled_bytes += work->customers[i].spill.bytes;
	}
	if (work->replay && work->replay->by_ids)
		names_merge(
			&result->names, result->sums.tally.texts, &work->replay->names, work->replay->skus);
	for (int i = 0; i < work->n_readers; i++) {
		const struct reader *reader = &work->readers[i];

		counters_add(&result->counters, &reader->counters);
		counters_add(&result->known, &reader->known);
		names_merge(&result->names, result->sums.tally.texts, &reader->names, reader->texts);
		result->spilled_bytes += reader->bins.spill.bytes;
		result->ids_bytes += reader->ids.read_bytes;
		if (ledger_merge(ledger, &reader->ledger, err))
			return -1;
	}
	result->counters.counted = result->sums.tally.counters.counted;
	result->counters.duplicate = result->sums.tally.counters.duplicate;
	result->counters.late = result->sums.tally.counters.late;
	return ledger_merge(ledger, &result->sums.ledger, err);
}

static int result_days(
	struct result *result, const struct config *config, struct ledger *ledger, struct err *err)
{
	const struct table *buckets = &result->sums.tally.buckets;
	bool new;

	for (size_t i = 0; i < buckets->n; i++) {
		const struct bucket *bucket = table_at(buckets, i);
		int64_t ms = (int64_t)bucket->key.minute * MINUTE_MS;
		struct day_key key = { calendar_day(&config->calendar, ms), bucket->key.currency };
		struct day_sum *sum = table_put(&result->days, &key, &new);

		if (revenue_add(&sum->revenue, &bucket->revenue))
			return err_set(err, ERR_DATA, "a day's sum exceeds 64 bits");
	}
	for (size_t i = 0; i < result->days.n; i++) {
		const struct day_sum *sum = table_at(&result->days, i);
		struct ledger_key key = { sum->key.day, sum->key.currency, LEDGER_AFTER, 0 };

		if (ledger_add(ledger, key, sum->revenue.gross_e4 - sum->revenue.refunds_e4, 0, err))
			return -1;
	}
	return 0;
}

/* Revenue and products were added up apart, so they control each other. */
bool result_agrees(const struct result *result, char wrong[RESULT_WRONG_MAX])
{
	SCOPED(xfreep) __int128 *net = xcalloc((size_t)currency_count(), sizeof(*net));
	const struct counters *c = &result->counters;
	int64_t n_events = 0, rejected = counters_rejected(c);
	int currency = 0;

	for (size_t i = 0; i < result->days.n; i++) {
		const struct day_sum *sum = table_at(&result->days, i);

		n_events += sum->revenue.orders + sum->revenue.refund_count;
		net[sum->key.currency] += sum->revenue.gross_e4 - sum->revenue.refunds_e4;
	}
	for (size_t i = 0; i < result->sums.tally.products.n; i++) {
		const struct product *product = table_at(&result->sums.tally.products, i);

		net[product->key.currency] -= product->net_e4;
	}
	while (currency < currency_count() && !net[currency])
		currency++;
	*wrong = '\0';
	if (c->records != c->counted + c->duplicate + rejected)
		snprintf(wrong, RESULT_WRONG_MAX,
			"control totals: %" PRId64 " records are not %" PRId64 " counted + %" PRId64
			" duplicate + %" PRId64 " rejected",
			c->records, c->counted, c->duplicate, rejected);
	else if (n_events != c->counted)
		snprintf(wrong, RESULT_WRONG_MAX,
			"control totals: %" PRId64 " orders and refunds are not %" PRId64 " counted events",
			n_events, c->counted);
	else if (currency < currency_count())
		snprintf(wrong, RESULT_WRONG_MAX, "control totals: products and revenue in %s differ",
			currency_code(currency));
	return !*wrong;
}

static int result_work(
	struct result *result, struct result_work *work, struct ledger *ledger, struct err *err)
{
	result_open(work);
	if (result_read(work, &result->read_ms, err) || result_find_winners(work, err) ||
		result_merge(result, work, ledger, err) || result_days(result, work->config, ledger, err))
		return -1;
	if (!result_agrees(result, result->wrong))
		log_error("%s: a bug; please report it", result->wrong);
	result->fold_ms = progress_end(work->progress, work->plan.n_bins);
	return 0;
}

int result_compute(struct result *ret_result, const struct config *config, struct history *history,
	bool explain, struct replay *replay, int64_t now_ms, struct ledger *ledger, struct progress *progress,
	struct err *err)
{
	struct result_work work = { .config = config,
		.history = history,
		.progress = progress,
		.explain = explain,
		.replay = replay };
	struct result result = { .customers_from_ms = TALLY_NO_CUSTOMERS };
	int failed;

	if (config->rules.customers)
		result.customers_from_ms = (now_ms - TALLY_CUSTOMERS_MS) / MINUTE_MS * MINUTE_MS;
	work.customers_from_ms = result.customers_from_ms;
	winners_init(&result.sums, &config->calendar, result.customers_from_ms, NULL);
	table_init(&result.days, sizeof(struct day_sum), sizeof(struct day_key));
	names_init(&result.names);
	failed = result_work(&result, &work, ledger, err);
	for (int i = 0; i < work.n_searchers && work.searchers; i++)
		winners_release(&work.searchers[i].winners);
	for (int i = 0; i < work.n_readers; i++)
		reader_release(&work.readers[i]);
	result.customers = work.customers;
	result.n_customers = work.customers ? work.n_searchers : 0;
	free(work.searchers);
	free(work.sources);
	free(work.readers);
	if (failed)
		result_release(&result);
	else
		*ret_result = result;
	return failed;
}

void result_release(struct result *result)
{
	winners_release(&result->sums);
	table_release(&result->days);
	names_release(&result->names);
	for (int i = 0; i < result->n_customers; i++)
		customers_release(&result->customers[i]);
	free(result->customers);
}
