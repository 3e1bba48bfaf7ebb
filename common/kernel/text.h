/* A borrowed piece of text: not terminated, valid as long as what it points into. */
#ifndef COMMON_KERNEL_TEXT_H
#define COMMON_KERNEL_TEXT_H

#include "common/base.h"

struct text {
	const char *at;
	size_t len;
};

#endif
