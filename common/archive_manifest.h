/* What stands beside the files of an archive: for each file its manifest, and one note for the whole topic.
 * Each is one line of JSON that ends in a checksum of itself. Pure. */
#ifndef COMMON_ARCHIVE_MANIFEST_H
#define COMMON_ARCHIVE_MANIFEST_H

#include "common/archive_text.h"
#include "common/tail.h"

enum { ARCHIVE_LOG_MAX = 256, ARCHIVE_MANIFEST_MAX = 4096 };

struct archive_manifest {
	char log[ARCHIVE_LOG_MAX]; /* CLUSTER_ID/TOPIC */
	int32_t partition;
	int64_t from, to; /* every record of [from, to) that the log had committed is in the file */
	int64_t count; /* of its lines */
	int64_t first_ms, last_ms; /* least and greatest record timestamp; 0 without a record */
	int64_t bytes; /* of the file */
	uint64_t hash; /* XXH3 of the file's bytes */
	struct tail before, tail; /* of the log at `from`, if it is known, and at `to` */
	int64_t written_ms; /* wall clock */
};

struct archive_note {
	char log[ARCHIVE_LOG_MAX];
	int32_t n_partitions;
	int64_t archived_ms; /* wall clock: what had arrived by then is in the archive; 0: not known */
};

void archive_manifest_write(struct archive_buffer *out, const struct archive_manifest *manifest);
MUST_USE int archive_manifest_read(struct text text, struct archive_manifest *ret_manifest); /* -1: damaged */
void archive_note_write(struct archive_buffer *out, const struct archive_note *note);
MUST_USE int archive_note_read(struct text text, struct archive_note *ret_note); /* -1: damaged */

#endif
