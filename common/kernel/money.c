#include "common/base.h"
#include "common/kernel/money.h"

enum { MONEY_DIGITS_MAX = 10, MONEY_DECIMALS_MAX = 4 };

/* Reads digits at `at`, at most `max`; returns how many. */
static size_t money_digits(const char *at, size_t len, size_t max, int64_t *value)
{
	size_t n = 0;

	while (n < len && n < max && at[n] >= '0' && at[n] <= '9')
		*value = *value * 10 + (at[n++] - '0');
	return n;
}

int money_parse(struct text text, int64_t *ret_e4)
{
	int64_t value = 0;
	size_t n = money_digits(text.at, text.len, MONEY_DIGITS_MAX, &value);
	size_t decimals = 0;

	if (n == 0)
		return -1;
	if (n < text.len) {
		if (text.at[n++] != '.')
			return -1;
		decimals = money_digits(text.at + n, text.len - n, MONEY_DECIMALS_MAX, &value);
		if (decimals == 0 || n + decimals != text.len)
			return -1;
	}
	for (; decimals < MONEY_DECIMALS_MAX; decimals++)
		value *= 10;
	*ret_e4 = value;
	return 0;
}

int money_add(int64_t a, int64_t b, int64_t *ret)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return -1;
	*ret = sum;
	return 0;
}

int money_mul(int64_t a, int64_t b, int64_t *ret)
{
	int64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return -1;
	*ret = product;
	return 0;
}

size_t money_format(int64_t e4, unsigned min_decimals, char *buf)
{
	uint64_t left = e4 < 0 ? -(uint64_t)e4 : (uint64_t)e4; /* INT64_MIN has no positive twin */
	unsigned decimals = MONEY_DECIMALS_MAX;
	char reverse[MONEY_TEXT_MAX];
	size_t n = 0, len = 0;

	assert(min_decimals <= MONEY_DECIMALS_MAX);
	for (; decimals > min_decimals && left % 10 == 0; decimals--)
		left /= 10;
	for (unsigned i = 0; i < decimals; i++, left /= 10)
		reverse[n++] = (char)('0' + left % 10);
	if (decimals)
		reverse[n++] = '.';
	do
		reverse[n++] = (char)('0' + left % 10);
	while (left /= 10);
	if (e4 < 0)
		reverse[n++] = '-';
	while (n)
		buf[len++] = reverse[--n];
	buf[len] = '\0';
	return len;
}
