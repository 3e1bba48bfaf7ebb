/* UTF-8 (RFC 3629). Pure. */
#ifndef COMMON_KERNEL_UTF8_H
#define COMMON_KERNEL_UTF8_H

#include "common/kernel/text.h"

/* The length of the sequence at `at`, which does not begin with ASCII; 0 when it is none. */
size_t utf8_length(const unsigned char *at, const unsigned char *end);
bool utf8_is_valid(struct text text);

#endif
