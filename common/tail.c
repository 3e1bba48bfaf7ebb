#include "common/base.h"
#include "common/tail.h"

#include <errno.h>

#include "common/kernel/hash.h"

void tail_init(struct tail *tail)
{
	tail->offset = -1;
	tail->hash = 0;
}

/* The parts are hashed one by one, so that the border between key and value counts. */
void tail_of_record(struct tail *tail, int64_t offset, int64_t timestamp_ms, const void *key, size_t key_len,
	const void *value, size_t value_len)
{
	uint64_t parts[] = { (uint64_t)offset, (uint64_t)timestamp_ms, key_len, hash_64(key, key_len),
		hash_64(value, value_len) };

	tail->offset = offset;
	tail->hash = hash_64(parts, sizeof(parts));
}

void tail_format(const struct tail *tail, char buf[TAIL_TEXT_MAX])
{
	if (tail->offset < 0)
		buf[0] = '\0';
	else
		snprintf(buf, TAIL_TEXT_MAX, "%" PRId64 " %016" PRIx64, tail->offset, tail->hash);
}

int tail_parse(const char *text, struct tail *ret_tail)
{
	struct tail tail;
	char *end;

	if (!*text) {
		tail_init(ret_tail);
		return 0;
	}
	if (*text < '0' || *text > '9' || (*text == '0' && text[1] != ' '))
		return -1;
	errno = 0;
	tail.offset = strtoll(text, &end, 10);
	if (errno || *end != ' ' || strlen(end + 1) != 16 || strspn(end + 1, "0123456789abcdef") != 16)
		return -1;
	tail.hash = strtoull(end + 1, NULL, 16);
	*ret_tail = tail;
	return 0;
}
