#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/text.h"

char *text_reserve(struct text *t, size_t more)
{
	if (t->cap - t->len < more) {
		size_t cap = t->cap ? t->cap : 4096;

		while (cap - t->len < more)
			cap *= 2;
		t->data = xrealloc(t->data, cap);
		t->cap = cap;
	}
	return t->data + t->len;
}

void text_add(struct text *t, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(text_reserve(t, len), bytes, len);
	t->len += len;
}

void text_release(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}

char *put_json(char *p, const char *bytes, size_t len)
{
	*p++ = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
		} else if (c < 0x20) {
			p = PUT(p, "\\u00");
			*p++ = (char)('0' + (c >> 4));
			*p++ = "0123456789abcdef"[c & 15];
		} else {
			*p++ = (char)c;
		}
	}
	*p++ = '"';
	return p;
}

/* Years are counted from March, so that the leap day is the last one. */
int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

char *put_time(char *p, int64_t time_ms, int offset_min)
{
	const int64_t day_ms = 86400000;
	int64_t ms = time_ms + (int64_t)offset_min * 60000 + 719468 * day_ms; /* since 0000-03-01 */
	uint64_t days = (uint64_t)(ms / day_ms), rest = (uint64_t)(ms % day_ms);
	uint64_t era = days / 146097, of_era = days % 146097;
	uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint64_t m = (5 * of_year + 2) / 153;
	uint64_t month = m < 10 ? m + 3 : m - 9;

	p = put_digits(p, year + era * 400 + (month <= 2), 4);
	*p++ = '-';
	p = put_digits(p, month, 2);
	*p++ = '-';
	p = put_digits(p, of_year - (153 * m + 2) / 5 + 1, 2);
	*p++ = 'T';
	p = put_digits(p, rest / 3600000, 2);
	*p++ = ':';
	p = put_digits(p, rest / 60000 % 60, 2);
	*p++ = ':';
	p = put_digits(p, rest / 1000 % 60, 2);
	*p++ = '.';
	p = put_digits(p, rest % 1000, 3);
	if (offset_min == 0) {
		*p++ = 'Z';
		return p;
	}
	*p++ = offset_min < 0 ? '-' : '+';
	p = put_digits(p, (uint64_t)abs(offset_min) / 60, 2);
	*p++ = ':';
	return put_digits(p, (uint64_t)abs(offset_min) % 60, 2);
}

char *put_e4(char *p, uint64_t e4, unsigned decimals)
{
	unsigned n = 4;
	uint64_t fraction = e4 % 10000;

	for (; n > decimals && fraction % 10 == 0; n--)
		fraction /= 10;
	p = put_uint(p, e4 / 10000);
	if (n == 0)
		return p;
	*p++ = '.';
	return put_digits(p, fraction, n);
}

/* Length of valid UTF-8 at p (0: it is not), without surrogates and overlong forms. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80   ? 1
		   : p[0] < 0xc2 ? 0
		   : p[0] < 0xe0 ? 2
		   : p[0] < 0xf0 ? 3
		   : p[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

bool text_is_utf8(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = utf8_len((const unsigned char *)bytes + i, len - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}
