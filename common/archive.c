#include "common/base.h"
#include "common/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/zstd_file.h"

void archive_file_name(char name[ARCHIVE_NAME_MAX], int64_t from)
{
	snprintf(name, ARCHIVE_NAME_MAX, "%020" PRId64 ".ndjson.zst", from);
}

void archive_manifest_name(char name[ARCHIVE_NAME_MAX], int64_t from)
{
	snprintf(name, ARCHIVE_NAME_MAX, "_%020" PRId64 ".json", from);
}

/* --- opening --- */

enum { ARCHIVE_EVERY = -1 };

struct archive_faults {
	archive_fault_fn *on_fault; /* NULL: the first one ends it */
	void *arg;
};

/* An error of one file: 0 when it was told and all else goes on. */
static int archive_fault(const struct archive_faults *faults, int partition, const struct err *err)
{
	if (!faults->on_fault || err->code != ERR_DATA)
		return -1;
	faults->on_fault(faults->arg, partition, err->msg);
	return 0;
}

/* A small file whole. 1; 0: it is not there. */
static int archive_read_small(
	const char *path, char text[ARCHIVE_MANIFEST_MAX], struct text *ret_text, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	*ret_text = (struct text){ text, 0 };
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	while (fd >= 0 && n > 0 && len < ARCHIVE_MANIFEST_MAX) {
		n = read(fd, text + len, ARCHIVE_MANIFEST_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (fd < 0 || n < 0)
		err_fill(err, ERR_NO_INPUT, "cannot read '%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	ret_text->len = len;
	return fd < 0 || n < 0 ? -1 : 1;
}

static int archive_open_note(struct archive *archive, struct err *err)
{
	SCOPED(xfreep) char *path = xasprintf("%s/%s", archive->dir, ARCHIVE_NOTE_NAME);
	char bytes[ARCHIVE_MANIFEST_MAX];
	struct text text;
	int there = archive_read_small(path, bytes, &text, err);

	if (there <= 0)
		return there;
	if (archive_note_read(text, &archive->note))
		return err_set(err, ERR_DATA,
			"'%s' is damaged; hint: take it from a backup; 'lambda-batch archive' also writes it "
			"anew when it is not there",
			path);
	archive->present = true;
	return 0;
}

/* "_00000000000000000042.json": 42; -1: another name */
static int64_t archive_manifest_from(const char *name)
{
	char again[ARCHIVE_NAME_MAX];
	int64_t from;

	if (name[0] != '_' || name[1] < '0' || name[1] > '9')
		return -1;
	errno = 0;
	from = strtoll(name + 1, NULL, 10);
	archive_manifest_name(again, from);
	return errno || strcmp(name, again) != 0 ? -1 : from;
}

static int archive_check_manifest(const struct archive *archive, const struct archive_manifest *m,
	int partition, int64_t from, const char *path, struct err *err)
{
	if (m->partition != partition || m->from != from)
		return err_set(err, ERR_DATA,
			"'%s' is the manifest of another file: of partition %d from %" PRId64 " on", path,
			(int)m->partition, m->from);
	if (strcmp(m->log, archive->note.log))
		return err_set(err, ERR_DATA,
			"'%s' is of the log '%s', the archive in '%s' of '%s'; hint: archives of several "
			"logs need "
			"several roots",
			path, m->log, archive->dir, archive->note.log);
	return 0;
}

/* One manifest. Without its file it is not complete: archiving was killed just then, or somebody took the
 * file away.
 */
static int archive_open_file(struct archive *archive, int partition, int64_t from, struct err *err)
{
	struct archive_part *part = &archive->parts[partition];
	char name[ARCHIVE_NAME_MAX], bytes[ARCHIVE_MANIFEST_MAX];
	SCOPED(xfreep) char *manifest_path = NULL;
	SCOPED(xfreep) char *path = NULL;
	struct archive_file file = { 0 };
	struct text text;
	struct stat stat_of;

	archive_manifest_name(name, from);
	manifest_path = xasprintf("%s/partition=%d/%s", archive->dir, partition, name);
	archive_file_name(name, from);
	path = xasprintf("%s/partition=%d/%s", archive->dir, partition, name);
	if (archive_read_small(manifest_path, bytes, &text, err) < 0)
		return -1;
	if (archive_manifest_read(text, &file.manifest))
		return err_set(err, ERR_DATA, "'%s' is damaged", manifest_path);
	if (archive_check_manifest(archive, &file.manifest, partition, from, manifest_path, err))
		return -1;
	if (stat(path, &stat_of))
		return errno == ENOENT
			       ? 0
			       : err_set(err, ERR_NO_INPUT, "cannot read '%s': %s", path, strerror(errno));
	if (stat_of.st_size != file.manifest.bytes)
		return err_set(err, ERR_DATA,
			"'%s' is damaged: it has %" PRId64 " bytes, its manifest says %" PRId64, path,
			(int64_t)stat_of.st_size, file.manifest.bytes);
	file.path = path;
	path = NULL;
	part->files = xreallocarray(part->files, part->n_files + 1, sizeof(*part->files));
	part->files[part->n_files++] = file;
	return 0;
}

static int archive_compare(const void *a, const void *b)
{
	const struct archive_manifest *x = &((const struct archive_file *)a)->manifest;
	const struct archive_manifest *y = &((const struct archive_file *)b)->manifest;

	return x->from != y->from ? (x->from > y->from) - (x->from < y->from)
				  : (x->to > y->to) - (x->to < y->to);
}

/* Where one ends and the next begins both know the log's last record there. */
static int archive_check_joins(
	const struct archive_part *part, int partition, const struct archive_faults *faults, struct err *err)
{
	for (size_t i = 1; i < part->n_files; i++) {
		const struct archive_manifest *a = &part->files[i - 1].manifest,
					      *b = &part->files[i].manifest;

		if (a->to != b->from || a->tail.offset < 0 || b->before.offset < 0 ||
			(a->tail.offset == b->before.offset && a->tail.hash == b->before.hash))
			continue;
		err_fill(err, ERR_DATA, "'%s' does not continue '%s': they are of different logs",
			part->files[i].path, part->files[i - 1].path);
		if (archive_fault(faults, partition, err))
			return -1;
	}
	return 0;
}

static int archive_open_part(
	struct archive *archive, int partition, const struct archive_faults *faults, struct err *err)
{
	SCOPED(xfreep) char *path = xasprintf("%s/partition=%d", archive->dir, partition);
	struct archive_part *part = &archive->parts[partition];
	DIR *dir = opendir(path);
	int failed = 0;

	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_set(err, ERR_NO_INPUT, "cannot read '%s': %s", path, strerror(errno));
	for (struct dirent *entry; !failed && (entry = readdir(dir));) {
		int64_t from = archive_manifest_from(entry->d_name);

		if (from >= 0 && archive_open_file(archive, partition, from, err))
			failed = archive_fault(faults, partition, err);
	}
	closedir(dir);
	if (failed)
		return -1;
	if (part->n_files)
		qsort(part->files, part->n_files, sizeof(*part->files), archive_compare);
	return archive_check_joins(part, partition, faults, err);
}

/* only: a partition, or ARCHIVE_EVERY; note: NULL, or what to take for it */
static int archive_fill(struct archive *archive, int only, const struct archive_note *note,
	const struct archive_faults *faults, struct err *err)
{
	if (!note && archive_open_note(archive, err))
		return -1;
	if (note) {
		archive->note = *note;
		archive->present = true;
	}
	archive->n_parts = archive->present ? archive->note.n_partitions : 0;
	archive->parts = xcalloc((size_t)archive->n_parts + 1, sizeof(*archive->parts));
	for (int i = 0; i < archive->n_parts; i++)
		if ((only == ARCHIVE_EVERY || only == i) && archive_open_part(archive, i, faults, err))
			return -1;
	return 0;
}

static int archive_open_some(const char *root, const char *topic, int only, const struct archive_note *note,
	const struct archive_faults *faults, struct archive *ret_archive, struct err *err)
{
	struct archive archive = { 0 };

	if (access(root, R_OK | X_OK))
		return err_set(err, ERR_NO_INPUT, "the archive: cannot read the directory '%s': %s", root,
			strerror(errno));
	archive.dir = xasprintf("%s/%s", root, topic);
	if (archive_fill(&archive, only, note, faults, err)) {
		archive_release(&archive);
		return err_wrap(err, "the archive");
	}
	*ret_archive = archive;
	return 0;
}

int archive_open_whole(const char *root, const char *topic, archive_fault_fn *on_fault, void *arg,
	struct archive *ret_archive, struct err *err)
{
	const struct archive_faults faults = { on_fault, arg };

	return archive_open_some(root, topic, ARCHIVE_EVERY, NULL, &faults, ret_archive, err);
}

int archive_open(const char *root, const char *topic, struct archive *ret_archive, struct err *err)
{
	return archive_open_whole(root, topic, NULL, NULL, ret_archive, err);
}

int archive_open_with(const char *root, const char *topic, const struct archive_note *note,
	struct archive *ret_archive, struct err *err)
{
	const struct archive_faults faults = { NULL, NULL };

	return archive_open_some(root, topic, ARCHIVE_EVERY, note, &faults, ret_archive, err);
}

int archive_open_one(
	const char *root, const char *topic, int partition, struct archive *ret_archive, struct err *err)
{
	const struct archive_faults faults = { NULL, NULL };

	return archive_open_some(root, topic, partition, NULL, &faults, ret_archive, err);
}

void archive_release(struct archive *archive)
{
	for (int i = 0; i < archive->n_parts; i++) {
		for (size_t j = 0; j < archive->parts[i].n_files; j++)
			free(archive->parts[i].files[j].path);
		free(archive->parts[i].files);
	}
	free(archive->parts);
	free(archive->dir);
	*archive = (struct archive){ 0 };
}

/* --- what is where --- */

int64_t archive_part_end(const struct archive_part *part)
{
	int64_t end = 0;

	for (size_t i = 0; i < part->n_files; i++)
		if (part->files[i].manifest.to > end)
			end = part->files[i].manifest.to;
	return end;
}

const struct archive_file *archive_part_at(const struct archive_part *part, int64_t offset)
{
	const struct archive_file *best = NULL;

	for (size_t i = 0; i < part->n_files && part->files[i].manifest.from <= offset; i++)
		if (part->files[i].manifest.to > offset &&
			(!best || part->files[i].manifest.to > best->manifest.to))
			best = &part->files[i];
	return best;
}

int64_t archive_part_next(const struct archive_part *part, int64_t offset)
{
	for (size_t i = 0; i < part->n_files; i++)
		if (part->files[i].manifest.from > offset)
			return part->files[i].manifest.from;
	return -1;
}

/* --- reading --- */

struct archive_reader {
	const struct archive_file *file; /* borrowed */
	struct zstd_reader *zstd;
	struct archive_line room;
	struct tail tail;
	int64_t count;
};

int archive_reader_open(const struct archive_file *file, struct archive_reader **ret_reader, struct err *err)
{
	struct zstd_reader *zstd;

	if (zstd_reader_open(file->path, &zstd, err))
		return -1;
	*ret_reader = xcalloc(1, sizeof(**ret_reader));
	(*ret_reader)->file = file;
	(*ret_reader)->zstd = zstd;
	(*ret_reader)->tail = file->manifest.before;
	return 0;
}

static int archive_reader_damaged(const struct archive_reader *reader, const char *how, struct err *err)
{
	return err_set(err, ERR_DATA, "'%s' is damaged: %s", reader->file->path, how);
}

static int archive_reader_end(const struct archive_reader *reader, struct err *err)
{
	const struct archive_manifest *m = &reader->file->manifest;
	struct zstd_sum sum = zstd_reader_sum(reader->zstd);

	if (sum.bytes != m->bytes || sum.hash != m->hash)
		return archive_reader_damaged(reader, "its checksum is another than its manifest says", err);
	if (reader->count != m->count)
		return archive_reader_damaged(
			reader, "it has another number of lines than its manifest says", err);
	if (reader->tail.offset != m->tail.offset ||
		(m->tail.offset >= 0 && reader->tail.hash != m->tail.hash))
		return archive_reader_damaged(
			reader, "its last record is another than its manifest says", err);
	return 0;
}

int archive_reader_next(struct archive_reader *reader, struct archive_record *ret_record,
	struct text *ret_line, struct err *err)
{
	const struct archive_manifest *m = &reader->file->manifest;
	struct archive_record record;
	struct text line;
	int more = zstd_reader_line(reader->zstd, &line, err);

	if (!more)
		return archive_reader_end(reader, err);
	if (more < 0)
		return -1;
	if (archive_line_read(&reader->room, line, &record))
		return archive_reader_damaged(reader, "a line is none of an archive", err);
	if (record.offset < m->from || record.offset >= m->to || record.offset <= reader->tail.offset)
		return archive_reader_damaged(reader, "an offset is out of its place", err);
	reader->count++;
	tail_of_record(&reader->tail, record.offset, record.timestamp_ms, record.key.at, record.key.len,
		record.value.at, record.value.len);
	*ret_record = record;
	if (ret_line)
		*ret_line = line;
	return 1;
}

void archive_reader_close(struct archive_reader *reader)
{
	if (!reader)
		return;
	zstd_reader_close(reader->zstd);
	archive_line_release(&reader->room);
	free(reader);
}
