/* Money is a signed 64-bit count of 1/10000 of the currency's unit ("e4"). It comes from decimal text and
 * goes to decimal text, never through floating point, and overflow is an error, never a wrap. Pure; any
 * thread. */
#ifndef COMMON_KERNEL_MONEY_H
#define COMMON_KERNEL_MONEY_H

#include "common/kernel/text.h"

enum { MONEY_E4 = 10000, MONEY_TEXT_MAX = 32 };

/* 1 to 10 digits, then at most 4 decimals behind a point (docs/events.md, unit_price). -1 when it is not of
 * that form. */
MUST_USE int money_parse(struct text text, int64_t *ret_e4);

/* -1 on overflow, *ret untouched */
MUST_USE int money_add(int64_t a, int64_t b, int64_t *ret);
MUST_USE int money_mul(int64_t a, int64_t b, int64_t *ret);

/* Exact decimal text with at least `min_decimals` (0..4) decimals and no needless zeros beyond them:
 * "-5000.00", "9747747.934". buf holds MONEY_TEXT_MAX bytes and is terminated. Returns the length. */
size_t money_format(int64_t e4, unsigned min_decimals, char *buf);

#endif
