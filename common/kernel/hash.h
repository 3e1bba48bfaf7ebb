/* Hashes of the kernel's tables: XXH3, inlined, so that a key of known size costs a few cycles. Pure; any
 * thread. */
#ifndef COMMON_KERNEL_HASH_H
#define COMMON_KERNEL_HASH_H

#include "common/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t hash_64(const void *bytes, size_t len)
{
	return XXH3_64bits(bytes, len);
}

static inline void hash_128(const void *bytes, size_t len, uint64_t *ret_low, uint64_t *ret_high)
{
	XXH128_hash_t hash = XXH3_128bits(bytes, len);

	*ret_low = hash.low64;
	*ret_high = hash.high64;
}

#endif
