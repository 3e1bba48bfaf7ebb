/* The small JSON that archives are written in: one way to write each thing, so that a reader that knows this
 * way knows the bytes. Pure; any thread, one per struct. */
#ifndef COMMON_ARCHIVE_TEXT_H
#define COMMON_ARCHIVE_TEXT_H

#include "common/kernel/text.h"

/* Bytes that grow. Zeroed at the start. */
struct archive_buffer {
	char *at; /* owned */
	size_t len, size;
};

void archive_buffer_release(struct archive_buffer *buffer);
/* Room for n more bytes; they count once `len` says so. */
char *archive_buffer_room(struct archive_buffer *buffer, size_t n);
void archive_put(struct archive_buffer *buffer, const void *bytes, size_t len);
void archive_put_word(struct archive_buffer *buffer, const char *word);
void archive_put_number(struct archive_buffer *buffer, int64_t number);
void archive_put_hash(struct archive_buffer *buffer, uint64_t hash); /* 16 hex digits in quotes */
/* A JSON string; 0 when that cannot say these bytes (not UTF-8, or with U+0000): then nothing is written. */
MUST_USE bool archive_put_string(struct archive_buffer *buffer, struct text text);
void archive_put_base64(struct archive_buffer *buffer, struct text bytes); /* in quotes */

/* Reads what the functions above write, and nothing else. After the first failure all else fails too. */
struct archive_cursor {
	const char *at, *end;
	bool failed;
};

/* Takes the word if it stands here. */
bool archive_take(struct archive_cursor *cursor, const char *word);
/* It must stand here. */
void archive_expect(struct archive_cursor *cursor, const char *word);
int64_t archive_take_number(struct archive_cursor *cursor);
uint64_t archive_take_hash(struct archive_cursor *cursor);
/* What they decode goes to `out`, which needs no more room than there is text left. */
struct text archive_take_string(struct archive_cursor *cursor, char *out);
struct text archive_take_base64(struct archive_cursor *cursor, char *out);

#endif
