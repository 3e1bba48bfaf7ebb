#include "common/base.h"
#include "common/kernel/tally.h"

#include "common/kernel/hash.h"
#include "common/kernel/money.h"
#include "common/kernel/plant.h"
#include "common/mem.h"

static bool event_adds(const struct event *event)
{
	return event->type == EVENT_PLACED || PLANTED(PLANT_REFUNDS);
}

int64_t event_net_e4(const struct event *event)
{
	return event_adds(event) ? event->total_e4 : -event->total_e4;
}

int revenue_add(struct revenue *sum, const struct revenue *more)
{
	struct revenue result;

	if (money_add(sum->gross_e4, more->gross_e4, &result.gross_e4) ||
		money_add(sum->refunds_e4, more->refunds_e4, &result.refunds_e4) ||
		money_add(sum->orders, more->orders, &result.orders) ||
		money_add(sum->refund_count, more->refund_count, &result.refund_count) ||
		money_add(sum->units, more->units, &result.units))
		return -1;
	*sum = result;
	return 0;
}

int late_day_add(struct late_day *sum, const struct late_day *more)
{
	if (money_add(sum->net_e4, more->net_e4, &sum->net_e4))
		return -1;
	sum->events += more->events;
	if (more->worst_ms > sum->worst_ms)
		sum->worst_ms = more->worst_ms;
	return 0;
}

/* --- dictionary --------------------------------------------------------------------------------- */

enum { DICTIONARY_CHUNK_BYTES = 64 << 10, DICTIONARY_INDEX_MIN = 256 };

struct dictionary_word {
	struct text text;
	uint64_t hash;
};

/* Texts stand in chunks that never move. */
struct dictionary_chunk {
	struct dictionary_chunk *older;
	char bytes[];
};

struct dictionary {
	struct dictionary_word *words;
	uint32_t n, capacity;
	uint32_t *index; /* n_index slots; 0 is free, else word + 1 */
	size_t n_index;
	struct dictionary_chunk *chunk;
	size_t chunk_used, chunk_size;
};

struct dictionary *dictionary_new(void)
{
	return xcalloc(1, sizeof(struct dictionary));
}

void dictionary_free(struct dictionary *dictionary)
{
	if (!dictionary)
		return;
	while (dictionary->chunk) {
		struct dictionary_chunk *older = dictionary->chunk->older;

		free(dictionary->chunk);
		dictionary->chunk = older;
	}
	free(dictionary->words);
	free(dictionary->index);
	free(dictionary);
}

static void dictionary_grow_index(struct dictionary *dictionary)
{
	size_t mask;

	dictionary->n_index = dictionary->n_index ? dictionary->n_index * 2 : DICTIONARY_INDEX_MIN;
	mask = dictionary->n_index - 1;
	free(dictionary->index);
	dictionary->index = xcalloc(dictionary->n_index, sizeof(*dictionary->index));
	for (uint32_t i = 0; i < dictionary->n; i++) {
		size_t slot = dictionary->words[i].hash & mask;

		while (dictionary->index[slot])
			slot = (slot + 1) & mask;
		dictionary->index[slot] = i + 1;
	}
}

static const char *dictionary_keep(struct dictionary *dictionary, struct text text)
{
	char *at;

	if (!dictionary->chunk || dictionary->chunk_size - dictionary->chunk_used < text.len) {
		size_t size = text.len > DICTIONARY_CHUNK_BYTES ? text.len : DICTIONARY_CHUNK_BYTES;
		struct dictionary_chunk *chunk = xmalloc(sizeof(*chunk) + size);

		chunk->older = dictionary->chunk;
		dictionary->chunk = chunk;
		dictionary->chunk_used = 0;
		dictionary->chunk_size = size;
	}
	at = dictionary->chunk->bytes + dictionary->chunk_used;
	if (text.len)
		memcpy(at, text.at, text.len);
	dictionary->chunk_used += text.len;
	return at;
}

static uint32_t dictionary_append(struct dictionary *dictionary, struct text text, uint64_t hash)
{
	if (dictionary->n == dictionary->capacity) {
		dictionary->capacity =
			dictionary->capacity ? dictionary->capacity * 2 : DICTIONARY_INDEX_MIN / 2;
		dictionary->words =
			xreallocarray(dictionary->words, dictionary->capacity, sizeof(*dictionary->words));
	}
	assert(dictionary->n < INT32_MAX);
	dictionary->words[dictionary->n] =
		(struct dictionary_word){ { dictionary_keep(dictionary, text), text.len }, hash };
	return dictionary->n++;
}

uint32_t dictionary_put(struct dictionary *dictionary, struct text text)
{
	uint64_t hash = hash_64(text.at, text.len);
	size_t mask, slot;

	if (((size_t)dictionary->n + 1) * 2 > dictionary->n_index)
		dictionary_grow_index(dictionary);
	mask = dictionary->n_index - 1;
	for (slot = hash & mask; dictionary->index[slot]; slot = (slot + 1) & mask) {
		const struct dictionary_word *word = &dictionary->words[dictionary->index[slot] - 1];

		if (word->hash == hash && word->text.len == text.len &&
			memcmp(word->text.at, text.at, text.len) == 0)
			return dictionary->index[slot] - 1;
	}
	dictionary->index[slot] = dictionary_append(dictionary, text, hash) + 1;
	return dictionary->n - 1;
}

struct text dictionary_get(const struct dictionary *dictionary, uint32_t number)
{
	assert(number < dictionary->n);
	return dictionary->words[number].text;
}

uint32_t dictionary_count(const struct dictionary *dictionary)
{
	return dictionary->n;
}

/* --- tally -------------------------------------------------------------------------------------- */

int64_t counters_rejected(const struct counters *counters)
{
	int64_t sum = 0;

	for (size_t i = 0; i < EVENT_N_REJECTS; i++)
		sum += counters->rejected[i];
	return sum;
}

void counters_add(struct counters *sum, const struct counters *more)
{
	sum->records += more->records;
	sum->counted += more->counted;
	sum->duplicate += more->duplicate;
	sum->late += more->late;
	sum->excluded += more->excluded;
	for (size_t i = 0; i < EVENT_N_REJECTS; i++)
		sum->rejected[i] += more->rejected[i];
}

enum { TALLY_LINES = 16 };

static_assert(sizeof(struct bucket_key) == 8, "no padding in a key");
static_assert(sizeof(struct product_key) == 12, "no padding in a key");
static_assert(sizeof(struct customer_key) == 12, "no padding in a key");
static_assert(sizeof(struct late_key) == 8, "no padding in a key");

void tally_init(struct tally *tally)
{
	*tally = (struct tally){ .texts = dictionary_new(), .customers_from_ms = TALLY_NO_CUSTOMERS };
	table_init(&tally->buckets, sizeof(struct bucket), sizeof(struct bucket_key));
	table_init(&tally->products, sizeof(struct product), sizeof(struct product_key));
	table_init(&tally->customers, sizeof(struct customer_minute), sizeof(struct customer_key));
	table_init(&tally->late, sizeof(struct late_day), sizeof(struct late_key));
}

void tally_release(struct tally *tally)
{
	table_release(&tally->buckets);
	table_release(&tally->products);
	table_release(&tally->customers);
	table_release(&tally->late);
	dictionary_free(tally->texts);
	tally->texts = NULL;
}

void tally_clear(struct tally *tally)
{
	table_clear(&tally->buckets);
	table_clear(&tally->products);
	table_clear(&tally->customers);
	table_clear(&tally->late);
	tally->counters = (struct counters){ 0 };
	if (dictionary_count(tally->texts) > TALLY_TEXTS_MAX) {
		dictionary_free(tally->texts);
		tally->texts = dictionary_new();
	}
}

static struct revenue tally_revenue(const struct event *event)
{
	if (event->type == EVENT_PLACED)
		return (struct revenue){ .gross_e4 = event->total_e4, .orders = 1, .units = event->units };
	if (PLANTED(PLANT_REFUNDS))
		return (struct revenue){
			.gross_e4 = event->total_e4, .refund_count = 1, .units = event->units
		};
	return (struct revenue){ .refunds_e4 = event->total_e4, .refund_count = 1, .units = -event->units };
}

static int tally_add_bucket(struct tally *tally, const struct event *event, const struct revenue *more)
{
	struct bucket_key key = { (int32_t)(event->time_ms / MINUTE_MS), event->currency };
	struct bucket *bucket;
	bool new;

	bucket = table_put(&tally->buckets, &key, &new);
	return revenue_add(&bucket->revenue, more);
}

static int tally_add_customer(struct tally *tally, const struct event *event, struct revenue more)
{
	struct customer_key key = { (int32_t)(event->time_ms / MINUTE_MS), event->currency, 0 };
	struct customer_minute *customer;
	bool new;

	if (!event->customer_id.at || event->time_ms < tally->customers_from_ms)
		return 0;
	key.customer = dictionary_put(tally->texts, event->customer_id);
	customer = table_put(&tally->customers, &key, &new);
	more.units = 0;
	return revenue_add(&customer->revenue, &more);
}

/* Up to TALLY_LINES lines at a time: first where they belong, so that the memory comes while the next are
 * looked up. */
static int tally_add_lines(struct tally *tally, int32_t day, const struct event *event,
	const struct event_line *lines, uint32_t n_lines)
{
	int64_t sign = event_adds(event) ? 1 : -1;
	struct product_key keys[TALLY_LINES];

	for (uint32_t i = 0; i < n_lines; i++) {
		keys[i] = (struct product_key){ day, (uint16_t)event->currency, 0,
			dictionary_put(tally->texts, lines[i].sku) };
		table_prefetch(&tally->products, &keys[i]);
	}
	for (uint32_t i = 0; i < n_lines; i++) {
		int64_t amount_e4 =
			sign * lines[i].unit_price_e4 * lines[i].quantity; /* bounded by the event's total */
		bool new;
		struct product *product = table_put(&tally->products, &keys[i], &new);

		if (money_add(product->net_e4, amount_e4, &product->net_e4) ||
			money_add(product->units, sign * lines[i].quantity, &product->units))
			return -1;
	}
	return 0;
}

static int tally_overflow(const struct event *event, struct err *err)
{
	return err_set(err, ERR_DATA, "a sum exceeds 64 bits at event '%.*s'", (int)event->event_id.len,
		event->event_id.at);
}

int tally_add(
	struct tally *tally, const struct calendar *calendar, const struct event *event, struct err *err)
{
	int32_t day = calendar_day(calendar, event->time_ms);
	struct revenue more = tally_revenue(event);
	int failed = tally_add_bucket(tally, event, &more) || tally_add_customer(tally, event, more);

	for (uint32_t i = 0; i < event->n_lines && !failed; i += TALLY_LINES) {
		uint32_t left = event->n_lines - i;

		failed = tally_add_lines(
			tally, day, event, &event->lines[i], left < TALLY_LINES ? left : TALLY_LINES);
	}
	return failed ? tally_overflow(event, err) : 0;
}

int tally_add_late(struct tally *tally, const struct calendar *calendar, const struct event *event,
	int64_t late_ms, struct err *err)
{
	struct late_day one = { { calendar_day(calendar, event->time_ms), event->currency }, 1,
		event_net_e4(event), late_ms };
	bool new;

	return late_day_add(table_put(&tally->late, &one.key, &new), &one) ? tally_overflow(event, err) : 0;
}

/* --- merging ------------------------------------------------------------------------------------ */

static int tally_merge_buckets(struct tally *sum, const struct tally *more)
{
	bool new;

	for (size_t i = 0; i < more->buckets.n; i++) {
		const struct bucket *from = table_at(&more->buckets, i);
		struct bucket *to = table_put(&sum->buckets, &from->key, &new);

		if (revenue_add(&to->revenue, &from->revenue))
			return -1;
	}
	return 0;
}

static int tally_merge_products(struct tally *sum, const struct tally *more)
{
	bool new;

	for (size_t i = 0; i < more->products.n; i++) {
		const struct product *from = table_at(&more->products, i);
		struct product_key key = from->key;
		struct product *to;

		key.sku = dictionary_put(sum->texts, dictionary_get(more->texts, from->key.sku));
		to = table_put(&sum->products, &key, &new);
		if (money_add(to->net_e4, from->net_e4, &to->net_e4) ||
			money_add(to->units, from->units, &to->units))
			return -1;
	}
	return 0;
}

static int tally_merge_customers(struct tally *sum, const struct tally *more)
{
	bool new;

	for (size_t i = 0; i < more->customers.n; i++) {
		const struct customer_minute *from = table_at(&more->customers, i);
		struct customer_key key = from->key;
		struct customer_minute *to;

		key.customer = dictionary_put(sum->texts, dictionary_get(more->texts, from->key.customer));
		to = table_put(&sum->customers, &key, &new);
		if (revenue_add(&to->revenue, &from->revenue))
			return -1;
	}
	return 0;
}

static int tally_merge_late(struct tally *sum, const struct tally *more)
{
	bool new;

	for (size_t i = 0; i < more->late.n; i++) {
		const struct late_day *from = table_at(&more->late, i);

		if (late_day_add(table_put(&sum->late, &from->key, &new), from))
			return -1;
	}
	return 0;
}

int tally_merge(struct tally *sum, const struct tally *more, struct err *err)
{
	if (tally_merge_buckets(sum, more) || tally_merge_products(sum, more) ||
		tally_merge_customers(sum, more) || tally_merge_late(sum, more))
		return err_set(err, ERR_DATA, "a sum exceeds 64 bits");
	return 0;
}
