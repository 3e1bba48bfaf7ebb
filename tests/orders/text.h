/* Text put together without printf: a growing buffer, and writers for the few forms that orders have. Each
 * put_*() writes at p, checks nothing and returns the end; whoever calls it has made room with
 * text_reserve(). Any thread. */
#ifndef ORDERS_TEXT_H
#define ORDERS_TEXT_H

#include "common/base.h"

struct text {
	char *data; /* not terminated */
	size_t len, cap;
};

/* Makes room for `more` bytes behind len and returns where they go. */
char *text_reserve(struct text *t, size_t more);
void text_add(struct text *t, const void *bytes, size_t len);
void text_release(struct text *t);

bool text_is_utf8(const char *bytes, size_t len);

/* A JSON string in its quotes; bytes must be valid UTF-8. At most 6 * len + 2 bytes. */
char *put_json(char *p, const char *bytes, size_t len);

#define PUT_TIME_MAX 32
/* RFC 3339 with milliseconds and an offset ("Z" for 0) of whole minutes; years 0 to 9999. */
char *put_time(char *p, int64_t time_ms, int offset_min);

/* 1/10000 of a unit as decimal text, `decimals` (0 to 4) of them at least and no needless zeros beyond; up to
 * 22 bytes. */
char *put_e4(char *p, uint64_t e4, unsigned decimals);

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
int64_t days_of_date(int64_t year, unsigned month, unsigned day);

static inline char *put_bytes(char *p, const char *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

/* of a string literal */
#define PUT(p, literal) put_bytes((p), (literal), sizeof(literal) - 1)

static inline char *put_digits(char *p, uint64_t n, unsigned width)
{
	for (unsigned i = width; i-- > 0; n /= 10)
		p[i] = (char)('0' + n % 10);
	return p + width;
}

static inline char *put_uint(char *p, uint64_t n)
{
	unsigned width = 1;

	for (uint64_t rest = n; rest >= 10; rest /= 10)
		width++;
	return put_digits(p, n, width);
}

static inline char *put_hex16(char *p, uint64_t n)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*p++ = "0123456789abcdef"[n >> shift & 15];
	return p;
}

#endif
