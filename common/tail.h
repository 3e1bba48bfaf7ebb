/* The identity of a place in a log: offset and hash of the last record below it. Who goes on from there reads
 * that record again; another hash means another log (topic re-created, truncated, other cluster). Pure. */
#ifndef COMMON_TAIL_H
#define COMMON_TAIL_H

#include "common/base.h"

struct tail {
	int64_t offset; /* -1: no record yet */
	uint64_t hash; /* of offset, timestamp, key and value */
};

enum { TAIL_TEXT_MAX = 40 };

void tail_init(struct tail *tail);
void tail_of_record(struct tail *tail, int64_t offset, int64_t timestamp_ms, const void *key, size_t key_len,
	const void *value, size_t value_len);
/* "OFFSET HASH" with 16 hex digits, or "" when there is none; terminated. */
void tail_format(const struct tail *tail, char buf[TAIL_TEXT_MAX]);
MUST_USE int tail_parse(const char *text, struct tail *ret_tail); /* -1: not of that form */

#endif
