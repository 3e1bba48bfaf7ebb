#include "common/base.h"
#include "common/ranges.h"

#include "common/archive_text.h"
#include "common/mem.h"

void ranges_release(struct ranges *ranges)
{
	free(ranges->at);
	*ranges = (struct ranges){ 0 };
}

void ranges_add(struct ranges *ranges, struct range range)
{
	if (range.from >= range.to)
		return;
	ranges->at = xreallocarray(ranges->at, ranges->n + 1, sizeof(*ranges->at));
	ranges->at[ranges->n++] = range;
}

static void ranges_parse_one(struct archive_cursor *cursor, struct range *range)
{
	int64_t partition = archive_take_number(cursor);

	archive_expect(cursor, ":");
	range->from = archive_take_number(cursor);
	archive_expect(cursor, "-");
	range->to = archive_take_number(cursor);
	cursor->failed |=
		partition < 0 || partition > INT32_MAX || range->from < 0 || range->to < range->from;
	range->partition = (int32_t)partition;
}

int ranges_parse(struct ranges *ranges, const char *text)
{
	struct archive_cursor cursor = { text, text + strlen(text), false };
	size_t before = ranges->n;
	struct range range;

	while (!cursor.failed && cursor.at != cursor.end) {
		if (archive_take(&cursor, " "))
			continue;
		ranges_parse_one(&cursor, &range);
		cursor.failed |= cursor.at != cursor.end && *cursor.at != ' ';
		cursor.failed |= ranges->n >= RANGES_MAX;
		if (!cursor.failed)
			ranges_add(ranges, range);
	}
	if (cursor.failed)
		ranges->n = before;
	return cursor.failed ? -1 : 0;
}

char *ranges_text(const struct ranges *ranges)
{
	char *text = xmalloc(ranges->n * RANGE_TEXT_MAX + 1);
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ranges->n; i++)
		len += (size_t)snprintf(text + len, RANGE_TEXT_MAX, "%s%" PRId32 ":%" PRId64 "-%" PRId64,
			i ? " " : "", ranges->at[i].partition, ranges->at[i].from, ranges->at[i].to);
	return text;
}

bool ranges_have(const struct ranges *ranges, struct range range)
{
	bool moved = true;

	while (moved && range.from < range.to) {
		moved = false;
		for (size_t i = 0; i < ranges->n; i++) {
			const struct range *r = &ranges->at[i];

			if (r->partition != range.partition || r->from > range.from || r->to <= range.from)
				continue;
			range.from = r->to;
			moved = true;
		}
	}
	return range.from >= range.to;
}
