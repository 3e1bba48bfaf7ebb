/* An archive as it lies on the disk, and reading it (docs/archive.md has the format):
 *
 *   ROOT/TOPIC/_archive.json                                  the note: which log, how many partitions
 *   ROOT/TOPIC/partition=N/00000000000000000042.ndjson.zst    lines of offsets from 42 on
 *   ROOT/TOPIC/partition=N/_00000000000000000042.json         its manifest
 *
 * A file counts when both are there. Blocking; a struct archive may be read by any number of threads. */
#ifndef COMMON_ARCHIVE_H
#define COMMON_ARCHIVE_H

#include "common/archive_line.h"
#include "common/archive_manifest.h"
#include "common/err.h"

struct archive_file {
	struct archive_manifest manifest;
	char *path; /* owned */
};

struct archive_part {
	struct archive_file *files; /* owned; by `from`, then `to` */
	size_t n_files;
};

struct archive {
	bool present; /* there is one; else all else is empty */
	char *dir; /* owned; ROOT/TOPIC */
	struct archive_note note;
	struct archive_part *parts; /* owned; by partition */
	int n_parts; /* at least note.n_partitions */
};

/* Reads the note and all manifests. Not there: present is false. ERR_NO_INPUT: cannot be read, or there is no
 * ROOT: one that is not mounted is no empty one. ERR_DATA: a note or manifest is damaged, is of another log
 * or place than its own, a file has not the size that its manifest says, or two files that meet do not
 * continue one another. */
MUST_USE int archive_open(const char *root, const char *topic, struct archive *ret_archive, struct err *err);
/* The same, but what is wrong with a file is told to on_fault(), and the file left out. */
typedef void archive_fault_fn(void *arg, int partition, const char *what);
MUST_USE int archive_open_whole(const char *root, const char *topic, archive_fault_fn *on_fault, void *arg,
	struct archive *ret_archive, struct err *err);
/* The same as archive_open(), but only the files of one partition. */
MUST_USE int archive_open_one(
	const char *root, const char *topic, int partition, struct archive *ret_archive, struct err *err);
/* The same as archive_open() of an archive without a note, as if it had this one. */
MUST_USE int archive_open_with(const char *root, const char *topic, const struct archive_note *note,
	struct archive *ret_archive, struct err *err);
void archive_release(struct archive *archive);

/* The last offset of a partition's files, plus one; 0 without files. */
int64_t archive_part_end(const struct archive_part *part);
/* The file that has `offset` and reaches furthest; NULL when none has it. */
const struct archive_file *archive_part_at(const struct archive_part *part, int64_t offset);
/* The lowest offset above `offset` that a file begins at; -1: none. */
int64_t archive_part_next(const struct archive_part *part, int64_t offset);

enum { ARCHIVE_NAME_MAX = 64 };
/* "00000000000000000042.ndjson.zst", "_00000000000000000042.json" */
void archive_file_name(char name[ARCHIVE_NAME_MAX], int64_t from);
void archive_manifest_name(char name[ARCHIVE_NAME_MAX], int64_t from);
#define ARCHIVE_NOTE_NAME "_archive.json"

/* Reads one file from its first line to its last, and checks all of it against its manifest. */
struct archive_reader;
MUST_USE int archive_reader_open(
	const struct archive_file *file, struct archive_reader **ret_reader, struct err *err);
/* The next record, and if wanted its line, valid until the next call: 1, 0 behind the last one and only if
 * the whole file is as its manifest says, -1 (ERR_DATA, ERR_NO_INPUT). */
MUST_USE int archive_reader_next(struct archive_reader *reader, struct archive_record *ret_record,
	struct text *ret_line, struct err *err);
void archive_reader_close(struct archive_reader *reader); /* NULL is fine */

#endif
