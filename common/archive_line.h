/* A record of the log as one line of an archive file, to the bit and back (docs/archive.md). Pure; one thread
 * per struct. */
#ifndef COMMON_ARCHIVE_LINE_H
#define COMMON_ARCHIVE_LINE_H

#include "common/archive_text.h"

struct archive_header {
	struct text name;
	struct text value; /* at == NULL: null */
};

struct archive_record {
	int64_t offset, timestamp_ms;
	struct text key, value; /* at == NULL: null */
	const struct archive_header *headers;
	size_t n_headers;
};

/* Appends the line with its line feed. */
void archive_line_write(struct archive_buffer *out, const struct archive_record *record);

/* What a line is decoded into; zeroed at the start. */
struct archive_line {
	struct archive_buffer bytes;
	struct archive_header *headers;
	size_t headers_size;
};

/* A line without its line feed; what it gives points into the line and *room, and lives until the next one.
 * -1: no line of an archive. */
MUST_USE int archive_line_read(
	struct archive_line *room, struct text line, struct archive_record *ret_record);
void archive_line_release(struct archive_line *room);

#endif
