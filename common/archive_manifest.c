#include "common/base.h"
#include "common/archive_manifest.h"

#include "common/kernel/hash.h"

/* --- writing --- */

static void manifest_put(struct archive_buffer *out, const char *name, int64_t number)
{
	archive_put_word(out, name);
	archive_put_number(out, number);
}

static void manifest_put_log(struct archive_buffer *out, const char *log)
{
	archive_put_word(out, "{\"format\":1,\"log\":");
	if (!archive_put_string(out, (struct text){ log, strlen(log) }))
		assert(0 && "the name of a log is text");
}

static void manifest_put_tail(struct archive_buffer *out, const char *name, const struct tail *tail)
{
	char text[TAIL_TEXT_MAX];

	tail_format(tail, text);
	archive_put_word(out, name);
	if (!archive_put_string(out, (struct text){ text, strlen(text) }))
		assert(0 && "a tail is text");
}

static void manifest_put_end(struct archive_buffer *out, size_t start)
{
	uint64_t hash = hash_64(out->at + start, out->len - start);

	archive_put_word(out, ",\"check\":");
	archive_put_hash(out, hash);
	archive_put_word(out, "}\n");
}

void archive_manifest_write(struct archive_buffer *out, const struct archive_manifest *manifest)
{
	size_t start = out->len;

	manifest_put_log(out, manifest->log);
	manifest_put(out, ",\"partition\":", manifest->partition);
	manifest_put(out, ",\"from\":", manifest->from);
	manifest_put(out, ",\"to\":", manifest->to);
	manifest_put(out, ",\"count\":", manifest->count);
	manifest_put(out, ",\"first_timestamp\":", manifest->first_ms);
	manifest_put(out, ",\"last_timestamp\":", manifest->last_ms);
	manifest_put(out, ",\"bytes\":", manifest->bytes);
	archive_put_word(out, ",\"xxh3\":");
	archive_put_hash(out, manifest->hash);
	manifest_put_tail(out, ",\"tail_before\":", &manifest->before);
	manifest_put_tail(out, ",\"tail\":", &manifest->tail);
	manifest_put(out, ",\"written\":", manifest->written_ms);
	manifest_put_end(out, start);
}

void archive_note_write(struct archive_buffer *out, const struct archive_note *note)
{
	size_t start = out->len;

	manifest_put_log(out, note->log);
	manifest_put(out, ",\"partitions\":", note->n_partitions);
	manifest_put(out, ",\"archived\":", note->archived_ms);
	manifest_put_end(out, start);
}

/* --- reading --- */

static int64_t manifest_take(struct archive_cursor *cursor, const char *name, int64_t min, int64_t max)
{
	int64_t number;

	archive_expect(cursor, name);
	number = archive_take_number(cursor);
	cursor->failed |= number < min || number > max;
	return number;
}

/* out holds `size` bytes and is terminated. */
static void manifest_take_string(struct archive_cursor *cursor, const char *name, char *out, size_t size)
{
	char text[ARCHIVE_MANIFEST_MAX];
	struct text got;

	archive_expect(cursor, name);
	got = archive_take_string(cursor, text);
	cursor->failed |= got.len >= size;
	if (cursor->failed)
		got.len = 0;
	memcpy(out, text, got.len);
	out[got.len] = '\0';
}

static void manifest_take_tail(struct archive_cursor *cursor, const char *name, struct tail *ret_tail)
{
	char text[TAIL_TEXT_MAX];

	manifest_take_string(cursor, name, text, sizeof(text));
	if (tail_parse(text, ret_tail))
		cursor->failed = true;
}

static struct archive_cursor manifest_start(struct text text, char log[ARCHIVE_LOG_MAX])
{
	struct archive_cursor cursor = { text.at, text.at + text.len, text.len >= ARCHIVE_MANIFEST_MAX };

	manifest_take_string(&cursor, "{\"format\":1,\"log\":", log, ARCHIVE_LOG_MAX);
	return cursor;
}

/* Is it whole? */
static bool manifest_ends(struct archive_cursor *cursor, struct text text)
{
	size_t len = cursor->failed ? 0 : (size_t)(cursor->at - text.at);
	uint64_t hash;

	archive_expect(cursor, ",\"check\":");
	hash = archive_take_hash(cursor);
	archive_expect(cursor, "}\n");
	return !cursor->failed && cursor->at == cursor->end && hash == hash_64(text.at, len);
}

/* Does it say something that can be? */
static bool manifest_fits(const struct archive_manifest *m)
{
	return m->from <= m->to && m->count <= m->to - m->from && m->tail.offset < m->to &&
	       m->before.offset < m->from &&
	       (m->count ? m->tail.offset >= m->from : m->tail.offset < m->from);
}

int archive_manifest_read(struct text text, struct archive_manifest *ret_manifest)
{
	struct archive_manifest m;
	struct archive_cursor cursor = manifest_start(text, m.log);

	m.partition = (int32_t)manifest_take(&cursor, ",\"partition\":", 0, INT32_MAX);
	m.from = manifest_take(&cursor, ",\"from\":", 0, INT64_MAX);
	m.to = manifest_take(&cursor, ",\"to\":", 0, INT64_MAX);
	m.count = manifest_take(&cursor, ",\"count\":", 0, INT64_MAX);
	m.first_ms = manifest_take(&cursor, ",\"first_timestamp\":", INT64_MIN, INT64_MAX);
	m.last_ms = manifest_take(&cursor, ",\"last_timestamp\":", INT64_MIN, INT64_MAX);
	m.bytes = manifest_take(&cursor, ",\"bytes\":", 0, INT64_MAX);
	archive_expect(&cursor, ",\"xxh3\":");
	m.hash = archive_take_hash(&cursor);
	manifest_take_tail(&cursor, ",\"tail_before\":", &m.before);
	manifest_take_tail(&cursor, ",\"tail\":", &m.tail);
	m.written_ms = manifest_take(&cursor, ",\"written\":", 0, INT64_MAX);
	if (!manifest_ends(&cursor, text) || !manifest_fits(&m))
		return -1;
	*ret_manifest = m;
	return 0;
}

int archive_note_read(struct text text, struct archive_note *ret_note)
{
	struct archive_note note;
	struct archive_cursor cursor = manifest_start(text, note.log);

	note.n_partitions = (int32_t)manifest_take(&cursor, ",\"partitions\":", 1, 1 << 20);
	note.archived_ms = manifest_take(&cursor, ",\"archived\":", 0, INT64_MAX);
	if (!manifest_ends(&cursor, text))
		return -1;
	*ret_note = note;
	return 0;
}
