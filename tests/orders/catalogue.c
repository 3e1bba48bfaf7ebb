#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/catalogue.h"

static const char *const looks[] = { "white", "red", "blue", "vintage", "small", "large", "hanging", "wooden",
	"retro", "pink", "zinc", "folding", "striped", "glass", "set of 6", "French", "Scandinavian",
	"pocket", "lunch", "jumbo" };
static const char *const things[] = { "heart holder", "lantern", "bag", "bunting", "cake stand", "mug",
	"doormat", "caf\xc3\xa9 sign", "tea towel", "clock", "7\\\" plate", "candle", "jam jar",
	"biscuit tin", "photo frame", "caf\\u00e9 cr\\u00e8me cup", "garden \\/ picnic rug",
	"\342\202\2545 voucher", "ribbon", "storage box", "apron", "spoon", "night light", "puzzle",
	"\\ud83c\\udf81 box" };

/* 0.19 to 299.99: mostly small, with the endings of a shop */
static uint32_t draw_cents(struct rng *r)
{
	static const uint16_t tops[] = { 2, 3, 4, 5, 6, 8, 9, 13, 15, 20, 40, 300 };
	static const uint8_t endings[] = { 99, 95, 55, 49, 25, 19 };

	return (uint32_t)rng_below(r, tops[rng_below(r, ARRAY_SIZE(tops))]) * 100 +
	       endings[rng_below(r, ARRAY_SIZE(endings))];
}

/* A price that the currency can write: cents as they are, mills by 4, whole units by 1.5. */
static uint32_t price_e4(uint32_t cents, unsigned decimals)
{
	switch (decimals) {
	case 0:
		return cents * 3 / 2 * 10000;
	case 3:
		return cents * 4 * 10;
	default:
		return cents * 100;
	}
}

static char *put_name(char *p, struct rng *r)
{
	const char *look = looks[rng_below(r, ARRAY_SIZE(looks))];
	const char *thing = things[rng_below(r, ARRAY_SIZE(things))];

	p = put_bytes(p, look, strlen(look));
	*p++ = ' ';
	return put_bytes(p, thing, strlen(thing));
}

void catalogue_init(struct catalogue *c, uint32_t n_products, const unsigned *decimals, unsigned n_currencies,
	uint64_t seed)
{
	*c = (struct catalogue){ .n_currencies = n_currencies };
	zipf_init(&c->popularity, n_products, 12);
	c->items = xreallocarray(NULL, (size_t)n_products * n_currencies, sizeof(*c->items));
	for (uint32_t k = 0; k < n_products; k++) {
		for (unsigned i = 0; i < n_currencies; i++) {
			struct rng r = { .state =
						 rng_hash(seed, k) }; /* again: one name for all currencies */
			struct catalogue_item *item = &c->items[(size_t)k * n_currencies + i];
			char *start = text_reserve(&c->json, CATALOGUE_LINE_MAX), *p = start;

			item->price_e4 = price_e4(draw_cents(&r), decimals[i]);
			p = PUT(p, "{\"sku\":\"");
			p = put_digits(p, 10000 + k, 8);
			*p++ = (char)('A' + k % 7);
			p = PUT(p, "\",\"name\":\"");
			p = put_name(p, &r);
			p = PUT(p, "\",\"unit_price\":\"");
			p = put_e4(p, item->price_e4, decimals[i]);
			p = PUT(p, "\",\"quantity\":");
			item->at = (uint32_t)c->json.len;
			item->len = (uint32_t)(p - start);
			c->json.len += item->len;
		}
	}
}

void catalogue_release(struct catalogue *c)
{
	zipf_release(&c->popularity);
	text_release(&c->json);
	free(c->items);
	*c = (struct catalogue){ 0 };
}
