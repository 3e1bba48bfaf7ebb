/* {"offset":N,"timestamp":MS,"key":KEY[,"headers":[{"key":NAME,"value":BASE64},...]],"value":VALUE}
 * - KEY and NAME are strings; where a string cannot say them, "raw_key":BASE64 stands instead
 * - VALUE is the record's own bytes where they are a JSON object that stays on one line for every reader of
 * lines (no line feed, no carriage return) and that every JSON reader takes (no U+0000, no lone surrogate);
 * else "raw":BASE64 stands instead
 * - what is null in the log is null here
 * The value comes last, so that where it ends is known without scanning it. */
#include "common/base.h"
#include "common/archive_line.h"

#include "common/kernel/json.h"
#include "common/mem.h"

/* --- writing --- */

static void archive_write_key(struct archive_buffer *out, struct text key)
{
	size_t before = out->len;

	archive_put_word(out, "\"key\":");
	if (!key.at) {
		archive_put_word(out, "null");
	} else if (!archive_put_string(out, key)) {
		out->len = before;
		archive_put_word(out, "\"raw_key\":");
		archive_put_base64(out, key);
	}
}

static void archive_write_headers(struct archive_buffer *out, const struct archive_record *record)
{
	for (size_t i = 0; i < record->n_headers; i++) {
		const struct archive_header *header = &record->headers[i];

		archive_put_word(out, i ? ",{" : ",\"headers\":[{");
		archive_write_key(out, header->name);
		archive_put_word(out, ",\"value\":");
		if (header->value.at)
			archive_put_base64(out, header->value);
		else
			archive_put_word(out, "null");
		archive_put_word(out, "}");
	}
	if (record->n_headers)
		archive_put_word(out, "]");
}

static bool archive_is_plain(struct text value)
{
	struct json json;

	if (!value.len || memchr(value.at, '\n', value.len) || memchr(value.at, '\r', value.len))
		return false;
	json_init(&json, value.at, value.len);
	return json_value(&json) == JSON_OBJECT && json_drain(&json) == JSON_END && !json.any_unstorable;
}

void archive_line_write(struct archive_buffer *out, const struct archive_record *record)
{
	archive_put_word(out, "{\"offset\":");
	archive_put_number(out, record->offset);
	archive_put_word(out, ",\"timestamp\":");
	archive_put_number(out, record->timestamp_ms);
	archive_put_word(out, ",");
	archive_write_key(out, record->key);
	archive_write_headers(out, record);
	if (!record->value.at) {
		archive_put_word(out, ",\"value\":null");
	} else if (archive_is_plain(record->value)) {
		archive_put_word(out, ",\"value\":");
		archive_put(out, record->value.at, record->value.len);
	} else {
		archive_put_word(out, ",\"raw\":");
		archive_put_base64(out, record->value);
	}
	archive_put_word(out, "}\n");
}

/* --- reading --- */

/* Decoded texts lie one behind the other in room->bytes, which is as long as the line and so never moves. */
static struct text archive_read_key(struct archive_line *room, struct archive_cursor *cursor)
{
	struct text key = { NULL, 0 };
	char *out = room->bytes.at + room->bytes.len;

	if (archive_take(cursor, "\"raw_key\":"))
		key = archive_take_base64(cursor, out);
	else if (!archive_take(cursor, "\"key\":null")) {
		archive_expect(cursor, "\"key\":");
		key = archive_take_string(cursor, out);
	}
	room->bytes.len += key.len;
	return key;
}

static void archive_read_header(
	struct archive_line *room, struct archive_cursor *cursor, struct archive_header *header)
{
	*header = (struct archive_header){ archive_read_key(room, cursor), { NULL, 0 } };
	if (!header->name.at)
		cursor->failed = true;
	archive_expect(cursor, ",\"value\":");
	if (!archive_take(cursor, "null"))
		header->value = archive_take_base64(cursor, room->bytes.at + room->bytes.len);
	room->bytes.len += header->value.len;
	archive_expect(cursor, "}");
}

static size_t archive_read_headers(struct archive_line *room, struct archive_cursor *cursor)
{
	size_t n = 0;

	if (!archive_take(cursor, ",\"headers\":["))
		return 0;
	do {
		if (n == room->headers_size) {
			room->headers_size = room->headers_size ? 2 * room->headers_size : 8;
			room->headers =
				xreallocarray(room->headers, room->headers_size, sizeof(*room->headers));
		}
		archive_expect(cursor, "{");
		archive_read_header(room, cursor, &room->headers[n++]);
	} while (archive_take(cursor, ","));
	archive_expect(cursor, "]");
	return n;
}

static struct text archive_read_value(struct archive_line *room, struct archive_cursor *cursor)
{
	struct text value = { NULL, 0 };

	if (archive_take(cursor, ",\"raw\":")) {
		value = archive_take_base64(cursor, room->bytes.at + room->bytes.len);
	} else if (!archive_take(cursor, ",\"value\":null")) {
		archive_expect(cursor, ",\"value\":");
		value = (struct text){ cursor->at, (size_t)(cursor->end - cursor->at) };
		value.len -= value.len > 0; /* the brace that ends the line */
		cursor->at += value.len;
		cursor->failed |= !value.len;
	}
	archive_expect(cursor, "}");
	return value;
}

int archive_line_read(struct archive_line *room, struct text line, struct archive_record *ret_record)
{
	struct archive_cursor cursor = { line.at, line.at + line.len, false };
	struct archive_record record = { 0 };

	room->bytes.len = 0;
	archive_buffer_room(&room->bytes, line.len);
	archive_expect(&cursor, "{\"offset\":");
	record.offset = archive_take_number(&cursor);
	archive_expect(&cursor, ",\"timestamp\":");
	record.timestamp_ms = archive_take_number(&cursor);
	archive_expect(&cursor, ",");
	record.key = archive_read_key(room, &cursor);
	record.n_headers = archive_read_headers(room, &cursor);
	record.headers = room->headers;
	record.value = archive_read_value(room, &cursor);
	if (cursor.failed || cursor.at != cursor.end || record.offset < 0)
		return -1;
	*ret_record = record;
	return 0;
}

void archive_line_release(struct archive_line *room)
{
	archive_buffer_release(&room->bytes);
	free(room->headers);
	*room = (struct archive_line){ 0 };
}
