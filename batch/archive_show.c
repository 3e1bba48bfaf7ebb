#include "common/base.h"
#include "batch/archive_show.h"

#include <dirent.h>
#include <errno.h>

#include "batch/batch.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/plan.h"

static int show_open(const struct config *config, archive_fault_fn *on_fault, void *arg,
	struct archive *ret_archive, struct err *err)
{
	if (archive_open_whole(config->archive, config->topic, on_fault, arg, ret_archive, err))
		return -1;
	if (ret_archive->present)
		return 0;
	archive_release(ret_archive);
	return err_set(
		err, ERR_NO_INPUT, "there is no archive of '%s' in '%s'", config->topic, config->archive);
}

/* --- cat --- */

static int cat_file(const struct archive_file *file, int64_t from, int64_t to, struct err *err)
{
	struct archive_reader *reader;
	struct archive_record record;
	struct text line;
	int more;

	if (archive_reader_open(file, &reader, err))
		return -1;
	while ((more = archive_reader_next(reader, &record, &line, err)) > 0 && !ferror(stdout)) {
		if (batch_stop_asked()) {
			more = batch_stopped(err);
			break;
		}
		if (record.offset >= from && record.offset < to) {
			fwrite(line.at, 1, line.len, stdout);
			putchar('\n');
		}
	}
	archive_reader_close(reader);
	return more < 0 ? -1 : 0;
}

/* Holes go to *holes. */
static int cat_range(const struct archive *archive, struct range range, struct ranges *holes, struct err *err)
{
	const struct archive_part *part = &archive->parts[range.partition];
	int64_t at = range.from;

	while (at < range.to && !ferror(stdout)) {
		struct plan_piece piece = plan_at(part, -1, at);

		if (piece.source == PLAN_END)
			piece.to = range.to;
		if (piece.source == PLAN_FILE) {
			if (cat_file(piece.file, at, range.to, err))
				return -1;
		} else if (range.to < INT64_MAX || piece.source == PLAN_GONE) {
			ranges_add(holes, (struct range){ range.partition, at,
						  piece.to < range.to ? piece.to : range.to });
		}
		at = piece.to;
	}
	return 0;
}

/* "1" or "1:20-30" */
static int cat_parse(
	const char *which, const struct archive *archive, struct range *ret_range, struct err *err)
{
	SCOPED(xfreep)
	char *whole = strchr(which, ':') ? xstrdup(which) : xasprintf("%s:0-%" PRId64, which, INT64_MAX);
	struct ranges ranges = { 0 };
	bool good = !ranges_parse(&ranges, whole) && ranges.n == 1 && !strchr(which, ' ');

	if (good)
		*ret_range = ranges.at[0];
	ranges_release(&ranges);
	if (!good)
		return err_set(
			err, ERR_USAGE, "archive cat: '%s' is not PARTITION or PARTITION:FROM-TO", which);
	if (ret_range->partition >= archive->n_parts)
		return err_set(err, ERR_USAGE, "archive cat: the archive has partitions 0 to %d, not %d",
			archive->n_parts - 1, (int)ret_range->partition);
	return 0;
}

static int cat_all(const struct archive *archive, const char *which, struct ranges *holes, struct err *err)
{
	struct range range = { 0, 0, INT64_MAX };
	int last = archive->n_parts - 1;

	if (which && cat_parse(which, archive, &range, err))
		return -1;
	if (which)
		last = range.partition;
	for (; range.partition <= last; range.partition++)
		if (cat_range(archive, range, holes, err))
			return -1;
	if (batch_stop_asked()) /* it also interrupts writing */
		return batch_stopped(err);
	if (fflush(stdout) || ferror(stdout))
		return err_set(err, ERR_IO, "cannot print: %s", strerror(errno));
	return 0;
}

int archive_cat(const struct config *config, const char *which, struct err *err)
{
	struct ranges holes = { 0 };
	struct archive archive;
	int failed;

	if (show_open(config, NULL, NULL, &archive, err))
		return -1;
	failed = cat_all(&archive, which, &holes, err);
	if (!failed && holes.n) {
		SCOPED(xfreep) char *text = ranges_text(&holes);

		failed = err_set(err, ERR_DATA, "the archive does not have the offsets %s", text);
	}
	ranges_release(&holes);
	archive_release(&archive);
	return failed;
}

/* --- verify --- */

struct verify {
	const struct config *config;
	struct archive archive;
	int64_t n_wrong, n_files, n_records, n_bytes;
};

static void verify_fault(void *arg, int partition, const char *what)
{
	struct verify *verify = arg;

	verify->n_wrong++;
	printf("partition %d: %s\n", partition, what);
}

static int verify_file(struct verify *verify, const struct archive_file *file, struct err *err)
{
	struct archive_reader *reader;
	struct archive_record record;
	int more;

	if (archive_reader_open(file, &reader, err))
		return -1;
	while ((more = archive_reader_next(reader, &record, NULL, err)) > 0 && !batch_stop_asked())
		verify->n_records++;
	archive_reader_close(reader);
	if (batch_stop_asked())
		return batch_stopped(err);
	verify->n_files++;
	verify->n_bytes += file->manifest.bytes;
	return more;
}

static void verify_holes(struct verify *verify, int partition)
{
	const struct archive_part *part = &verify->archive.parts[partition];
	struct plan_piece piece = plan_at(part, -1, 0);

	for (; piece.source != PLAN_END; piece = plan_at(part, -1, piece.to)) {
		struct range hole = { partition, piece.from, piece.to };
		bool accepted;

		if (piece.source != PLAN_GONE)
			continue;
		accepted = ranges_have(&verify->config->accept_lost, hole);
		verify->n_wrong += !accepted;
		printf("partition %d: offsets from %" PRId64 " to %" PRId64 " are missing%s\n", partition,
			piece.from, piece.to, accepted ? ", as accepted" : "");
	}
}

/* Is there a file for the other's name? */
static void verify_name(struct verify *verify, int partition, const char *dir, const char *name)
{
	const struct archive_part *part = &verify->archive.parts[partition];
	char own[ARCHIVE_NAME_MAX], manifest[ARCHIVE_NAME_MAX];

	for (size_t i = 0; i < part->n_files; i++) {
		archive_file_name(own, part->files[i].manifest.from);
		archive_manifest_name(manifest, part->files[i].manifest.from);
		if (!strcmp(name, own) || !strcmp(name, manifest))
			return;
	}
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return;
	verify->n_wrong++;
	printf("'%s/%s' is no part of the archive: a file and its manifest belong together; hint: if "
	       "'lambda-batch archive' is "
	       "not at work, run it: it replaces what it has left behind\n",
		dir, name);
}

static int verify_names(struct verify *verify, int partition, struct err *err)
{
	SCOPED(xfreep) char *path = xasprintf("%s/partition=%d", verify->archive.dir, partition);
	DIR *dir = opendir(path);

	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_set(err, ERR_NO_INPUT, "cannot read '%s': %s", path, strerror(errno));
	for (struct dirent *entry; (entry = readdir(dir));)
		verify_name(verify, partition, path, entry->d_name);
	closedir(dir);
	return 0;
}

static int verify_part(struct verify *verify, int partition, struct err *err)
{
	const struct archive_part *part = &verify->archive.parts[partition];
	int64_t n_records = verify->n_records;

	for (size_t i = 0; i < part->n_files; i++) {
		if (!verify_file(verify, &part->files[i], err))
			continue;
		if (err->code == ERR_STOPPED)
			return -1;
		verify_fault(verify, partition, err->msg);
	}
	verify_holes(verify, partition);
	if (verify_names(verify, partition, err))
		return -1;
	printf("partition %d: %zu files, %" PRId64 " records, up to offset %" PRId64 "\n", partition,
		part->n_files, verify->n_records - n_records, archive_part_end(part));
	return 0;
}

static int verify_all(struct verify *verify, struct err *err)
{
	for (int i = 0; i < verify->archive.n_parts; i++)
		if (verify_part(verify, i, err))
			return -1;
	if (fflush(stdout) || ferror(stdout))
		return err_set(err, ERR_IO, "cannot print: %s", strerror(errno));
	if (verify->n_wrong)
		return err_set(err, ERR_DATA, "the archive in '%s' is not in order: %" PRId64 " findings",
			verify->archive.dir, verify->n_wrong);
	log_info("the archive in '%s' of the log '%s' is in order: %" PRId64 " records in %" PRId64
		 " files with %" PRId64 " bytes",
		verify->archive.dir, verify->archive.note.log, verify->n_records, verify->n_files,
		verify->n_bytes);
	return 0;
}

int archive_verify(const struct config *config, struct err *err)
{
	struct verify verify = { .config = config };
	int failed;

	if (show_open(config, verify_fault, &verify, &verify.archive, err))
		return -1;
	failed = verify_all(&verify, err);
	archive_release(&verify.archive);
	return failed;
}
