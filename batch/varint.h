/* Numbers in as few bytes as they need: seven bits a byte, the lowest first. Pure. */
#ifndef BATCH_VARINT_H
#define BATCH_VARINT_H

#include "common/base.h"

enum { VARINT_MAX = 10 }; /* bytes */

static inline unsigned char *varint_put(unsigned char *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (unsigned char)(value | 0x80);
		value >>= 7;
	}
	*at++ = (unsigned char)value;
	return at;
}

/* The bytes are our own. */
static inline const unsigned char *varint_get(const unsigned char *at, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0;; shift += 7) {
		value |= (uint64_t)(*at & 0x7f) << shift;
		if (!(*at++ & 0x80))
			break;
	}
	*ret_value = value;
	return at;
}

/* Numbers around 0 become small ones. */
static inline uint64_t varint_zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t varint_unzigzag(uint64_t value)
{
	return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

#endif
