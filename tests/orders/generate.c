/* What record n is depends on (seed, n) alone, and its content on that and the time it was given. So a
 * duplicate or a refund of an earlier order needs no memory but that order's time: the order is made once
 * more. */
#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/broken.h"
#include "tests/orders/catalogue.h"
#include "tests/orders/currency.h"
#include "tests/orders/generate.h"

#define LINES_MAX 12
#define EVENT_MAX (512 + LINES_MAX * (CATALOGUE_LINE_MAX + 24))
#define REFUND_REACH 50000 /* records; a refund's order lies at most so far back */
#define WALK_MAX 256 /* records looked at for one that may be repeated or refunded */
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

enum kind { PLACED, REFUNDED, DUPLICATE, BROKEN };

struct generate {
	struct generate_config config;
	struct catalogue catalogue;
	struct zipf customers;
	unsigned n_currencies;
	char currencies[GENERATE_CURRENCIES_MAX][4];
	uint64_t weights[GENERATE_CURRENCIES_MAX], weight;
	uint64_t key_kind, key_id, key_content; /* one stream each */
	uint64_t n; /* records made */
	int64_t *times; /* ring: what the last records were given */
	uint64_t ring;
	char *key, *value;
};

/* what one order was, for those who repeat it */
struct order {
	uint32_t customer;
	unsigned currency, n_lines;
	uint32_t products[LINES_MAX], quantities[LINES_MAX];
};

static int parse_currency(struct generate *g, const char *item, size_t len, struct err *err)
{
	const char *equals = memchr(item, '=', len);
	size_t code_len = equals ? (size_t)(equals - item) : len;
	unsigned i = g->n_currencies;

	if (i == GENERATE_CURRENCIES_MAX)
		return err_set(err, ERR_USAGE, "--currencies: more than %d", GENERATE_CURRENCIES_MAX);
	if (code_len != 3 || currency_decimals(item) < 0)
		return err_set(err, ERR_USAGE, "--currencies: '%.*s' is no active currency of ISO 4217",
			(int)code_len, item);
	memcpy(g->currencies[i], item, 3);
	if (equals) {
		char *end;

		g->weights[i] = strtoul(equals + 1, &end, 10);
		if (end != item + len || g->weights[i] < 1 || g->weights[i] > 1000000)
			return err_set(err, ERR_USAGE, "--currencies: '%.*s': a weight is from 1 to 1000000",
				(int)len, item);
	}
	g->n_currencies++;
	return 0;
}

static int parse_currencies(struct generate *g, const char *list, struct err *err)
{
	for (const char *item = list;; item++) {
		size_t len = strcspn(item, ",");

		if (parse_currency(g, item, len, err))
			return -1;
		item += len;
		if (!*item)
			break;
	}
	for (unsigned i = 0; i < g->n_currencies; i++) {
		if (!g->weights[i])
			g->weights[i] = g->n_currencies - i;
		g->weight += g->weights[i];
	}
	return 0;
}

int generate_new(const struct generate_config *config, struct generate **ret, struct err *err)
{
	struct generate *g = xcalloc(1, sizeof(*g));
	unsigned decimals[GENERATE_CURRENCIES_MAX];

	g->config = *config;
	if (parse_currencies(g, config->currencies, err)) {
		generate_free(g);
		return -1;
	}
	if (config->duplicates + config->refunds + config->broken > (UINT64_C(95) << 32) / 100) {
		generate_free(g);
		return err_set(err, ERR_USAGE, "--duplicates, --refunds and --broken: together at most 0.95");
	}
	g->key_kind = rng_hash(config->seed, 1);
	g->key_id = rng_hash(config->seed, 2);
	g->key_content = rng_hash(config->seed, 3);
	for (unsigned i = 0; i < g->n_currencies; i++)
		decimals[i] = (unsigned)currency_decimals(g->currencies[i]);
	catalogue_init(&g->catalogue, (uint32_t)config->products, decimals, g->n_currencies,
		rng_hash(config->seed, 4));
	zipf_init(&g->customers, (uint32_t)config->customers, 50);
	g->ring = config->duplicate_distance + WALK_MAX + 1;
	g->times = xcalloc(g->ring, sizeof(*g->times));
	g->key = xmalloc(64);
	g->value = xmalloc(EVENT_MAX > BROKEN_MAX ? EVENT_MAX : BROKEN_MAX);
	*ret = g;
	return 0;
}

void generate_free(struct generate *g)
{
	if (!g)
		return;
	catalogue_release(&g->catalogue);
	zipf_release(&g->customers);
	free(g->times);
	free(g->key);
	free(g->value);
	free(g);
}

static enum kind kind_of(const struct generate *g, uint64_t n)
{
	const struct generate_config *c = &g->config;
	uint64_t x = rng_hash(g->key_kind, n) >> 32;

	if (n == 0) /* nothing before it to repeat or refund */
		return PLACED;
	if (x < c->broken)
		return BROKEN;
	if (x < c->broken + c->duplicates)
		return DUPLICATE;
	return x < c->broken + c->duplicates + c->refunds ? REFUNDED : PLACED;
}

/* Looks back from n for a record that is PLACED (or REFUNDED, if refunds will do); UINT64_MAX if there is
 * none near. */
static uint64_t find_back(const struct generate *g, uint64_t n, bool refunds_too)
{
	for (unsigned i = 0; i < WALK_MAX; i++, n--) {
		enum kind kind = kind_of(g, n);

		if (kind == PLACED || (refunds_too && kind == REFUNDED))
			return n;
		if (n == 0)
			break;
	}
	return UINT64_MAX;
}

static struct rng content_of(const struct generate *g, uint64_t n)
{
	return (struct rng){ .state = rng_hash(g->key_content, n) };
}

static void make_order(const struct generate *g, struct rng *r, struct order *o)
{
	static const uint8_t n_lines[32] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3,
		4, 4, 4, 5, 5, 6, 7, 8, 10, 12 };
	static const uint16_t quantities[32] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3,
		3, 4, 4, 5, 6, 6, 8, 10, 12, 12, 24, 144 };
	uint64_t weight = rng_below(r, g->weight);

	for (o->currency = 0; weight >= g->weights[o->currency]; o->currency++)
		weight -= g->weights[o->currency];
	o->customer = zipf_draw(&g->customers, r);
	if (rng_below(r, 16) == 0)
		o->customer = UINT32_MAX; /* a guest */
	o->n_lines = n_lines[rng_below(r, 32)];
	for (unsigned i = 0; i < o->n_lines; i++) {
		o->products[i] = zipf_draw(&g->catalogue.popularity, r);
		o->quantities[i] = quantities[rng_below(r, 32)];
	}
}

/* A refund takes back the first lines of an order, and of the last of them perhaps a part. */
static void cut_order(struct order *o, struct rng *r)
{
	o->n_lines = 1 + (unsigned)rng_below(r, o->n_lines);
	o->quantities[o->n_lines - 1] = 1 + (uint32_t)rng_below(r, o->quantities[o->n_lines - 1]);
}

static char *put_customer(char *p, uint32_t customer)
{
	if (customer == UINT32_MAX)
		return PUT(p, "null");
	p = PUT(p, "\"c");
	p = put_digits(p, customer + 1, 8);
	*p++ = '"';
	return p;
}

static char *put_lines(const struct generate *g, char *p, const struct order *o, uint64_t *ret_total_e4)
{
	uint64_t total_e4 = 0;

	for (unsigned i = 0; i < o->n_lines; i++) {
		const struct catalogue_item *item =
			catalogue_item(&g->catalogue, o->products[i], o->currency);

		if (i > 0)
			*p++ = ',';
		p = put_bytes(p, g->catalogue.json.data + item->at, item->len);
		p = put_uint(p, o->quantities[i]);
		*p++ = '}';
		total_e4 += (uint64_t)item->price_e4 * o->quantities[i];
	}
	*ret_total_e4 = total_e4;
	return p;
}

/* Moves an order's time back by what makes it out of order or late; one time in eight it is written with an
 * offset. */
static int64_t disorder(const struct generate *g, struct rng *r, int64_t time_ms)
{
	uint64_t x = rng_next(r) >> 32;
	int64_t back_ms = 0;

	if (x < g->config.late)
		back_ms = HOUR_MS + (int64_t)rng_below(r, 71 * HOUR_MS);
	else if (x < g->config.late + g->config.out_of_order)
		back_ms = 1000 + (int64_t)rng_below(r, 5 * MINUTE_MS - 1000);
	return time_ms - back_ms < g->config.floor_ms ? time_ms : time_ms - back_ms;
}

static int draw_offset_min(struct rng *r)
{
	static const int16_t offsets_min[32] = { [28] = 60, [29] = -300, [30] = 330, [31] = 765 };

	return offsets_min[rng_next(r) >> 59];
}

/* Record n, PLACED or REFUNDED, that was given time_ms. */
static void make_event(struct generate *g, uint64_t n, int64_t time_ms, struct record *ret)
{
	struct rng r = content_of(g, n);
	struct order o = { 0 };
	uint64_t order = n, total_e4;
	bool refund = kind_of(g, n) == REFUNDED;

	if (refund) {
		order = find_back(g, n - 1 - rng_below(&r, n < REFUND_REACH ? n : REFUND_REACH), false);
		refund = order != UINT64_MAX;
		order = refund ? order : n;
	}
	struct rng of_order = refund ? content_of(g, order) : r;

	make_order(g, &of_order, &o);
	if (refund)
		cut_order(&o, &r);
	else
		time_ms = disorder(g, &of_order, time_ms);
	char *p = PUT(g->value, "{\"schema_version\":1,\"event_id\":\"e");
	ret->id = p - 1;
	ret->id_len = 17;
	p = put_hex16(p, rng_hash(g->key_id, n));
	p = refund ? PUT(p, "\",\"type\":\"order_refunded\",\"order_id\":\"o")
		   : PUT(p, "\",\"type\":\"order_placed\",\"order_id\":\"o");
	p = put_hex16(p, rng_hash(g->key_id, order));
	ret->key_len = (size_t)(put_hex16(PUT(g->key, "o"), rng_hash(g->key_id, order)) - g->key);
	p = PUT(p, "\",\"customer_id\":");
	p = put_customer(p, o.customer);
	p = PUT(p, ",\"event_time\":\"");
	p = put_time(p, time_ms, draw_offset_min(&of_order));
	p = PUT(p, "\",\"currency\":\"");
	p = put_bytes(p, g->currencies[o.currency], 3);
	memcpy(ret->currency, g->currencies[o.currency], sizeof(ret->currency));
	p = PUT(p, "\",\"lines\":[");
	p = put_lines(g, p, &o, &total_e4);
	p = PUT(p, "]}");
	ret->value_len = (size_t)(p - g->value);
	ret->net_e4 = refund ? -(int64_t)total_e4 : (int64_t)total_e4;
}

static void make_broken(struct generate *g, uint64_t n, int64_t time_ms, struct record *ret)
{
	struct rng r = content_of(g, n);
	uint64_t id = rng_hash(g->key_id, n);
	char *end = broken_put(g->value, (unsigned)rng_below(&r, broken_kinds()), id, time_ms);

	if (end)
		ret->value_len = (size_t)(end - g->value);
	else
		ret->value = NULL;
	ret->key_len = (size_t)(put_hex16(PUT(g->key, "o"), id) - g->key);
}

void generate_next(struct generate *g, int64_t time_ms, struct record *ret)
{
	uint64_t n = g->n++, again = UINT64_MAX;
	enum kind kind = kind_of(g, n);

	*ret = (struct record){ .key = g->key, .value = g->value };
	g->times[n % g->ring] = time_ms;
	if (kind == BROKEN) {
		make_broken(g, n, time_ms, ret);
		return;
	}
	if (kind == DUPLICATE) {
		uint64_t reach = n < g->config.duplicate_distance ? n : g->config.duplicate_distance;
		struct rng r = content_of(g, n);

		again = find_back(g, n - 1 - rng_below(&r, reach), true);
	}
	if (again == UINT64_MAX) {
		make_event(g, n, time_ms, ret);
	} else {
		make_event(g, again, g->times[again % g->ring], ret);
		ret->id_len = 0;
	}
}
