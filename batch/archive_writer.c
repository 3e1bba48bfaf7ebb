/* Happy path: lines go to a temporary file; when it has enough, or the range ends, the file and its manifest
 * are written whole and synced, the manifest gets its name, then the file its own, and the directory is
 * synced. Failure modes:
 * - a kill before the last rename: a temporary file, or a manifest without a file, which nobody counts; the
 * next archiving begins at the same offset and replaces both
 * - a kill after it: the file is there, and archiving goes on behind it
 * - no room, or any other error of the disk: ERR_IO; what was finished stays */
#include "common/base.h"
#include "batch/archive_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/batch.h"
#include "batch/kafka_source.h"
#include "common/failpoint.h"
#include "common/mem.h"
#include "common/zstd_file.h"

/* --- files and directories --- */

static int archive_io(struct err *err, const char *what, const char *path)
{
	return err_set(err, ERR_IO, "cannot %s '%s': %s", what, path, strerror(errno));
}

int archive_sync_dir(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = fd < 0 || fsync(fd);

	if (failed)
		archive_io(err, "write the directory", path);
	if (fd >= 0)
		close(fd);
	return failed ? -1 : 0;
}

int archive_make_dir(const char *path, struct err *err)
{
	return mkdir(path, 0755) && errno != EEXIST ? archive_io(err, "make the directory", path) : 0;
}

static int archive_write_fd(int fd, const struct archive_buffer *text)
{
	for (size_t done = 0; done < text->len;) {
		ssize_t n = write(fd, text->at + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return fsync(fd);
}

static int archive_write_temporary(const char *path, const struct archive_buffer *text, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int failed = fd < 0 || archive_write_fd(fd, text);

	if (failed)
		archive_io(err, "write", path);
	if (fd >= 0)
		close(fd);
	return failed ? -1 : 0;
}

static int archive_rename(const char *dir, const char *name, struct err *err)
{
	SCOPED(xfreep) char *from = xasprintf("%s/.%s.tmp", dir, name);
	SCOPED(xfreep) char *to = xasprintf("%s/%s", dir, name);

	return rename(from, to) ? archive_io(err, "rename to", to) : 0;
}

int archive_write_small(const char *dir, const char *name, const struct archive_buffer *text, struct err *err)
{
	SCOPED(xfreep) char *path = xasprintf("%s/.%s.tmp", dir, name);

	if (archive_write_temporary(path, text, err) || archive_rename(dir, name, err))
		return -1;
	return archive_sync_dir(dir, err);
}

/* --- records --- */

void archive_writer_init(struct archive_writer *writer, const struct config *config, char *dir,
	const char *log, int32_t partition, int64_t from, const struct tail *before)
{
	*writer = (struct archive_writer){ .config = config, .dir = dir };
	snprintf(writer->manifest.log, sizeof(writer->manifest.log), "%s", log);
	writer->manifest.partition = partition;
	writer->manifest.from = from;
	writer->manifest.before = writer->manifest.tail = *before;
}

static char *archive_writer_temporary(const struct archive_writer *writer)
{
	char name[ARCHIVE_NAME_MAX];

	archive_file_name(name, writer->manifest.from);
	return xasprintf("%s/.%s.tmp", writer->dir, name);
}

void archive_writer_release(struct archive_writer *writer)
{
	if (writer->file) {
		SCOPED(xfreep) char *path = archive_writer_temporary(writer);

		unlink(path);
	}
	zstd_writer_close(writer->file);
	archive_buffer_release(&writer->line);
	free(writer->headers);
	free(writer->dir);
	*writer = (struct archive_writer){ 0 };
}

static int archive_writer_open(struct archive_writer *writer, struct err *err)
{
	SCOPED(xfreep) char *path = archive_writer_temporary(writer);

	return writer->file ? 0 : zstd_writer_open(path, &writer->file, err);
}

static void archive_writer_count(struct archive_writer *writer, const struct record *record)
{
	struct archive_manifest *m = &writer->manifest;

	if (!m->count || record->timestamp_ms < m->first_ms)
		m->first_ms = record->timestamp_ms;
	if (!m->count || record->timestamp_ms > m->last_ms)
		m->last_ms = record->timestamp_ms;
	m->count++;
	tail_of_record(&m->tail, record->offset, record->timestamp_ms, record->key, record->key_len,
		record->value, record->value_len);
	writer->n_records++;
}

/* A line that no reader would take must not be written. */
static int archive_writer_line(struct archive_writer *writer, const struct record *record, struct err *err)
{
	struct archive_record line = { record->offset, record->timestamp_ms, { record->key, record->key_len },
		{ record->value, record->value_len }, NULL, 0 };
	struct archive_header header;

	for (; kafka_source_header(record, line.n_headers, &header); line.n_headers++) {
		if (line.n_headers == writer->headers_size) {
			writer->headers_size = writer->headers_size ? 2 * writer->headers_size : 16;
			writer->headers = xreallocarray(
				writer->headers, writer->headers_size, sizeof(*writer->headers));
		}
		writer->headers[line.n_headers] = header;
	}
	line.headers = writer->headers;
	writer->line.len = 0;
	archive_line_write(&writer->line, &line);
	if (writer->line.len > ZSTD_LINE_MAX)
		return err_set(err, ERR_DATA,
			"the record at offset %" PRId64 " of partition %d is too large for the archive",
			record->offset, (int)record->part->partition);
	return 0;
}

int archive_writer_put(struct archive_writer *writer, const struct record *record, struct err *err)
{
	if (PLANTED(PLANT_ARCHIVE) && record->offset % 100 == 7)
		return 0;
	if (archive_writer_open(writer, err) || archive_writer_line(writer, record, err) ||
		zstd_writer_put(writer->file, (struct text){ writer->line.at, writer->line.len }, err))
		return -1;
	archive_writer_count(writer, record);
	writer->file_text_bytes += (int64_t)writer->line.len;
	if (writer->file_text_bytes < writer->config->archive_file_bytes)
		return 0;
	return archive_writer_end(writer, record->offset + 1, err);
}

/* Both are on the disk under temporary names: now the names. A file that has lost its manifest goes first, so
 * that it never stands beside one that is not its own. */
static int archive_writer_name(struct archive_writer *writer, struct err *err)
{
	char name[ARCHIVE_NAME_MAX];
	SCOPED(xfreep) char *old = NULL;

	FAILPOINT("archive.synced");
	archive_file_name(name, writer->manifest.from);
	old = xasprintf("%s/%s", writer->dir, name);
	if (unlink(old) && errno != ENOENT)
		return archive_io(err, "replace", old);
	archive_manifest_name(name, writer->manifest.from);
	if (archive_rename(writer->dir, name, err))
		return -1;
	FAILPOINT("archive.manifest_named");
	archive_file_name(name, writer->manifest.from);
	if (archive_rename(writer->dir, name, err))
		return -1;
	FAILPOINT("archive.file_named");
	return archive_sync_dir(writer->dir, err);
}

static int archive_writer_finish(struct archive_writer *writer, struct err *err)
{
	struct archive_manifest *m = &writer->manifest;
	char name[ARCHIVE_NAME_MAX];
	struct zstd_sum sum;
	SCOPED(xfreep) char *path = NULL;

	if (archive_writer_open(writer, err) || zstd_writer_finish(writer->file, &sum, err))
		return -1;
	m->bytes = sum.bytes;
	m->hash = sum.hash;
	m->written_ms = clock_wall_ms();
	archive_manifest_name(name, m->from);
	path = xasprintf("%s/.%s.tmp", writer->dir, name);
	writer->line.len = 0;
	archive_manifest_write(&writer->line, m);
	return archive_write_temporary(path, &writer->line, err) || archive_writer_name(writer, err) ? -1 : 0;
}

int archive_writer_end(struct archive_writer *writer, int64_t to, struct err *err)
{
	struct archive_manifest *m = &writer->manifest;

	assert(to >= m->from && m->tail.offset < to);
	if (to == m->from)
		return 0;
	m->to = to;
	if (archive_writer_finish(writer, err))
		return -1;
	zstd_writer_close(writer->file);
	writer->file = NULL;
	writer->file_text_bytes = 0;
	writer->n_files++;
	writer->n_bytes += m->bytes;
	m->from = to;
	m->count = m->first_ms = m->last_ms = 0;
	m->before = m->tail;
	return 0;
}
