#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/kernel/currency_list.h"

static const struct {
	char code[4];
	unsigned char decimals;
} currency_table[] = {
#define X(code, decimals) { #code, decimals },
	CURRENCY_LIST(X)
#undef X
};

/* Alphabetical order as order of numbers. */
static uint32_t currency_number(const char *code)
{
	const unsigned char *c = (const unsigned char *)code;

	return (uint32_t)c[0] << 16 | (uint32_t)c[1] << 8 | c[2];
}

int currency_find(struct text code)
{
	size_t low = 0, n = ARRAY_SIZE(currency_table);
	uint32_t number;

	if (code.len != 3)
		return -1;
	number = currency_number(code.at);
	/* no branch that depends on the data: a mispredicted one costs more than the search */
	while (n > 1) {
		size_t half = n / 2;

		low += currency_number(currency_table[low + half].code) <= number ? half : 0;
		n -= half;
	}
	return currency_number(currency_table[low].code) == number ? (int)low : -1;
}

int currency_count(void)
{
	return ARRAY_SIZE(currency_table);
}

const char *currency_code(int currency)
{
	assert(currency >= 0 && currency < currency_count());
	return currency_table[currency].code;
}

unsigned currency_decimals(int currency)
{
	assert(currency >= 0 && currency < currency_count());
	return currency_table[currency].decimals;
}
