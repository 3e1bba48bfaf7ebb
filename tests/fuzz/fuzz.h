/* What the fuzzers share. A fuzzer is one file, fuzz_NAME.c, that defines LLVMFuzzerTestOneInput(); a finding
 * is an assert, a sanitizer's report, a leak or a time-out. libFuzzer drives it ('make fuzz'), or replay.c,
 * which only replays files ('make unit'). */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "common/base.h"
#include "common/kernel/text.h"

/* One input; always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy without a byte to spare, so that a sanitizer sees every read beyond its end; the caller frees it. */
static inline char *fuzz_copy(const void *at, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert(copy);
	if (len)
		memcpy(copy, at, len);
	return copy;
}

static inline bool fuzz_same(struct text a, struct text b)
{
	return a.len == b.len && !a.at == !b.at && (!a.len || (a.at && b.at && !memcmp(a.at, b.at, a.len)));
}

/* Takes the text up to the separator off the front of *rest; false when there is none any more. */
static inline bool fuzz_next(struct text *rest, char separator, struct text *ret)
{
	const char *stop;

	if (!rest->at)
		return false;
	stop = rest->len ? memchr(rest->at, separator, rest->len) : NULL;
	*ret = (struct text){ rest->at, stop ? (size_t)(stop - rest->at) : rest->len };
	*rest = stop ? (struct text){ stop + 1, rest->len - ret->len - 1 } : (struct text){ NULL, 0 };
	return true;
}

#endif
