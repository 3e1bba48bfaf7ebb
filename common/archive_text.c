#include "common/base.h"
#include "common/archive_text.h"

#include <errno.h>

#include "common/kernel/utf8.h"
#include "common/mem.h"

/* --- writing --- */

void archive_buffer_release(struct archive_buffer *buffer)
{
	free(buffer->at);
	*buffer = (struct archive_buffer){ 0 };
}

char *archive_buffer_room(struct archive_buffer *buffer, size_t n)
{
	size_t size = buffer->size ? buffer->size : 4096;

	while (size - buffer->len < n)
		size *= 2;
	if (size != buffer->size)
		buffer->at = xrealloc(buffer->at, size);
	buffer->size = size;
	return buffer->at + buffer->len;
}

void archive_put(struct archive_buffer *buffer, const void *bytes, size_t len)
{
	char *room = archive_buffer_room(buffer, len);

	if (len)
		memcpy(room, bytes, len);
	buffer->len += len;
}

void archive_put_word(struct archive_buffer *buffer, const char *word)
{
	archive_put(buffer, word, strlen(word));
}

void archive_put_number(struct archive_buffer *buffer, int64_t number)
{
	buffer->len += (size_t)snprintf(archive_buffer_room(buffer, 24), 24, "%" PRId64, number);
}

void archive_put_hash(struct archive_buffer *buffer, uint64_t hash)
{
	buffer->len += (size_t)snprintf(archive_buffer_room(buffer, 24), 24, "\"%016" PRIx64 "\"", hash);
}

bool archive_put_string(struct archive_buffer *buffer, struct text text)
{
	static const char hex[] = "0123456789abcdef";
	char *out;

	if ((text.len && memchr(text.at, 0, text.len)) || !utf8_is_valid(text))
		return false;
	out = archive_buffer_room(buffer, 2 + 6 * text.len);
	*out++ = '"';
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < ' ') {
			memcpy(out, "\\u00", 4);
			out[4] = hex[c >> 4];
			out[5] = hex[c & 15];
			out += 6;
			continue;
		}
		if (c == '"' || c == '\\')
			*out++ = '\\';
		*out++ = (char)c;
	}
	*out++ = '"';
	buffer->len = (size_t)(out - buffer->at);
	return true;
}

static const char archive_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void archive_put_base64(struct archive_buffer *buffer, struct text bytes)
{
	const unsigned char *in = (const unsigned char *)bytes.at;
	char *out = archive_buffer_room(buffer, 2 + (bytes.len + 2) / 3 * 4);

	*out++ = '"';
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
		unsigned bits = (unsigned)in[i] << 16 | (n > 1 ? (unsigned)in[i + 1] << 8 : 0) |
				(n > 2 ? (unsigned)in[i + 2] : 0);

		for (size_t digit = 0; digit < 4; digit++)
			*out++ = digit <= n ? archive_digits[bits >> (18 - 6 * digit) & 63] : '=';
	}
	*out++ = '"';
	buffer->len = (size_t)(out - buffer->at);
}

/* --- reading --- */

static size_t archive_left(const struct archive_cursor *cursor)
{
	return cursor->failed ? 0 : (size_t)(cursor->end - cursor->at);
}

bool archive_take(struct archive_cursor *cursor, const char *word)
{
	size_t len = strlen(word);

	if (archive_left(cursor) < len || memcmp(cursor->at, word, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

void archive_expect(struct archive_cursor *cursor, const char *word)
{
	if (!archive_take(cursor, word))
		cursor->failed = true;
}

/* No leading zeros, no "-0". */
int64_t archive_take_number(struct archive_cursor *cursor)
{
	bool negative = archive_take(cursor, "-");
	const char *start = cursor->at;
	uint64_t limit = (uint64_t)INT64_MAX + negative, number = 0;

	while (archive_left(cursor) && *cursor->at >= '0' && *cursor->at <= '9') {
		unsigned digit = (unsigned)(*cursor->at++ - '0');

		if (number > (limit - digit) / 10) {
			cursor->failed = true;
			return 0;
		}
		number = number * 10 + digit;
	}
	if (cursor->failed || cursor->at == start ||
		(*start == '0' && (cursor->at - start > 1 || negative))) {
		cursor->failed = true;
		return 0;
	}
	return negative ? (int64_t)(0 - number) : (int64_t)number;
}

static int archive_hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t archive_take_hash(struct archive_cursor *cursor)
{
	uint64_t hash = 0;

	archive_expect(cursor, "\"");
	for (int i = 0; i < 16; i++) {
		int digit = archive_left(cursor) ? archive_hex(*cursor->at++) : -1;

		if (digit < 0) {
			cursor->failed = true;
			return 0;
		}
		hash = hash << 4 | (unsigned)digit;
	}
	archive_expect(cursor, "\"");
	return hash;
}

/* Behind a backslash: the byte that is meant, or -1. */
static int archive_unescape(struct archive_cursor *cursor)
{
	int high, low;

	if (archive_take(cursor, "\""))
		return '"';
	if (archive_take(cursor, "\\"))
		return '\\';
	if (!archive_take(cursor, "u00") || archive_left(cursor) < 2)
		return -1;
	high = archive_hex(cursor->at[0]);
	low = archive_hex(cursor->at[1]);
	cursor->at += 2;
	return high < 0 || high > 1 || low < 0 || !(high | low) ? -1 : high << 4 | low;
}

struct text archive_take_string(struct archive_cursor *cursor, char *out)
{
	struct text text = { out, 0 };

	archive_expect(cursor, "\"");
	while (archive_left(cursor)) {
		int c = (unsigned char)*cursor->at++;

		if (c == '"') {
			cursor->failed = !utf8_is_valid(text);
			return text;
		}
		if (c < ' ')
			break;
		if (c == '\\')
			c = archive_unescape(cursor);
		if (c < 0)
			break;
		out[text.len++] = (char)c;
	}
	cursor->failed = true;
	return text;
}

/* One group of four digits: how many bytes it gives, 0 when it is none. */
static size_t archive_group(const char *at, char *out)
{
	unsigned bits = 0;
	size_t n = 0;

	for (; n < 4 && at[n] != '='; n++) {
		const char *digit = at[n] ? strchr(archive_digits, at[n]) : NULL;

		if (!digit)
			return 0;
		bits |= (unsigned)(digit - archive_digits) << (18 - 6 * n);
	}
	if (n < 2 || (n == 2 && at[3] != '='))
		return 0;
	if (bits & (n == 2 ? 0xffff : n == 3 ? 0xff : 0)) /* written in another way than ours */
		return 0;
	for (size_t i = 0; i + 1 < n; i++)
		out[i] = (char)(bits >> (16 - 8 * i) & 0xff);
	return n - 1;
}

struct text archive_take_base64(struct archive_cursor *cursor, char *out)
{
	struct text bytes = { out, 0 };
	size_t n = 3;

	archive_expect(cursor, "\"");
	while (!archive_take(cursor, "\"")) {
		if (n != 3 || archive_left(cursor) < 4 || !(n = archive_group(cursor->at, out + bytes.len))) {
			cursor->failed = true;
			break;
		}
		cursor->at += 4;
		bytes.len += n;
	}
	return bytes;
}
