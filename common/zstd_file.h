/* Files of zstd-compressed lines, one frame each, as streams; with the XXH3 of the file's bytes. Blocking;
 * one thread per struct. */
#ifndef COMMON_ZSTD_FILE_H
#define COMMON_ZSTD_FILE_H

#include "common/err.h"
#include "common/kernel/text.h"

enum {
	ZSTD_LINE_MAX = 256 << 20
}; /* with its line feed; a longer line is taken for damage, and must not be written */

struct zstd_sum {
	int64_t bytes; /* compressed */
	uint64_t hash;
};

struct zstd_writer;

/* Creates the file, or empties it. ERR_IO. */
MUST_USE int zstd_writer_open(const char *path, struct zstd_writer **ret_writer, struct err *err);
MUST_USE int zstd_writer_put(struct zstd_writer *writer, struct text bytes, struct err *err);
/* Ends the frame; the file is on the disk when this returns 0. */
MUST_USE int zstd_writer_finish(struct zstd_writer *writer, struct zstd_sum *ret_sum, struct err *err);
void zstd_writer_close(struct zstd_writer *writer); /* NULL is fine; what was not finished is worth nothing */

struct zstd_reader;

/* ERR_NO_INPUT. */
MUST_USE int zstd_reader_open(const char *path, struct zstd_reader **ret_reader, struct err *err);
/* The next line, without its line feed, valid until the next call; returns 1, 0 behind the last, -1:
 * ERR_NO_INPUT cannot be read, ERR_DATA damaged: not zstd, cut off, not lines. */
MUST_USE int zstd_reader_line(struct zstd_reader *reader, struct text *ret_line, struct err *err);
/* Of all that was read; of the whole file behind its last line. */
struct zstd_sum zstd_reader_sum(const struct zstd_reader *reader);
void zstd_reader_close(struct zstd_reader *reader); /* NULL is fine */

#endif
