/* Ranges of offsets, "P:FROM-TO": partition P, offsets [FROM, TO). Pure. */
#ifndef COMMON_RANGES_H
#define COMMON_RANGES_H

#include "common/kernel/text.h"

struct range {
	int32_t partition;
	int64_t from, to;
};

struct ranges {
	struct range *at; /* owned */
	size_t n;
};

enum { RANGES_MAX = 1000, RANGE_TEXT_MAX = 64 };

void ranges_release(struct ranges *ranges);
/* Empty ones are left out. */
void ranges_add(struct ranges *ranges, struct range range);
/* Adds those of a text, with blanks between them; -1: not of that form, or more than RANGES_MAX: nothing is
 * added. */
MUST_USE int ranges_parse(struct ranges *ranges, const char *text);
/* The whole list as text that ranges_parse() takes; the caller frees it. */
char *ranges_text(const struct ranges *ranges);
/* Is every offset of the range in one of them? */
bool ranges_have(const struct ranges *ranges, struct range range);

#endif
