#include "common/base.h"
#include "common/kernel/utf8.h"

static inline bool utf8_is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t utf8_length(const unsigned char *at, const unsigned char *end)
{
	size_t left = (size_t)(end - at);
	unsigned char c = at[0];

	if (c < 0xc2 || c > 0xf4)
		return 0;
	if (c < 0xe0)
		return left >= 2 && utf8_is_tail(at[1]) ? 2 : 0;
	if (c < 0xf0) {
		if (left < 3 || !utf8_is_tail(at[1]) || !utf8_is_tail(at[2]))
			return 0;
		return (c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) ? 0 : 3;
	}
	if (left < 4 || !utf8_is_tail(at[1]) || !utf8_is_tail(at[2]) || !utf8_is_tail(at[3]))
		return 0;
	return (c == 0xf0 && at[1] < 0x90) || (c == 0xf4 && at[1] > 0x8f) ? 0 : 4;
}

bool utf8_is_valid(struct text text)
{
	const unsigned char *at = (const unsigned char *)text.at, *end = at + text.len;

	while (at < end) {
		size_t len = *at < 0x80 ? 1 : utf8_length(at, end);

		if (!len)
			return false;
		at += len;
	}
	return true;
}
