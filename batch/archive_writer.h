/* Writes a range of one partition's log as files of the archive. A file is there, under its own name and with
 * its manifest, only when both are on the disk whole. */
#ifndef BATCH_ARCHIVE_WRITER_H
#define BATCH_ARCHIVE_WRITER_H

#include "batch/part.h"
#include "common/config.h"

struct archive_writer {
	const struct config *config; /* borrowed */
	char *dir; /* owned; ROOT/TOPIC/partition=N */
	struct archive_manifest manifest; /* of the file that is being written; log and partition stay */
	struct archive_buffer line;
	struct archive_header *headers; /* owned; room for those of one record */
	size_t headers_size;
	struct zstd_writer *file; /* NULL: none is open */
	int64_t file_text_bytes;
	int64_t n_records, n_files, n_bytes; /* so far */
};

/* dir: there; the writer takes it. before: the log's last record below `from`, if it is known. */
void archive_writer_init(struct archive_writer *writer, const struct config *config, char *dir,
	const char *log, int32_t partition, int64_t from, const struct tail *before);
void archive_writer_release(struct archive_writer *writer); /* what is not in a finished file is left out */

/* The next record. ERR_IO; ERR_DATA: it is too large for a line, and is not in the file. */
MUST_USE int archive_writer_put(struct archive_writer *writer, const struct record *record, struct err *err);
/* The log is read up to `to`, and no record is left below it: ends the file there, also one without a line.
 * ERR_IO. */
MUST_USE int archive_writer_end(struct archive_writer *writer, int64_t to, struct err *err);

/* Writes a small file whole: under a temporary name, on the disk, then renamed; and the directory. ERR_IO. */
MUST_USE int archive_write_small(
	const char *dir, const char *name, const struct archive_buffer *text, struct err *err);
/* Makes a directory unless it is there. It is on the disk once its parent is synced, also one that was there:
 * whoever made it may have been killed just then. ERR_IO. */
MUST_USE int archive_make_dir(const char *path, struct err *err);
MUST_USE int archive_sync_dir(const char *path, struct err *err);

#endif
