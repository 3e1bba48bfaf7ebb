/* lambda-batch archive: copies what the archive lacks of the log, from Kafka. Failure modes:
 * - another one is at work on the same archive: ERR_BUSY
 * - it is the archive of another log: ERR_DATA before anything is written
 * - killed, stopped, Kafka away, disk full: files that were finished stay, the next one goes on behind them
 * - retention was faster: what Kafka still has is archived all the same; the hole is told, ERR_DATA */
#include "common/base.h"
#include "batch/batch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/archive_check.h"
#include "batch/archive_jobs.h"
#include "batch/archive_show.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"

enum { ARCHIVE_TRY_MS = 1000 };

struct archive_copy {
	const struct config *config;
	char *dir; /* owned; ROOT/TOPIC */
	int lock; /* descriptor */
	rd_kafka_t *rk;
	int64_t started_wall_ms;
	struct kafka_log log;
	int64_t *first, *end; /* owned; of Kafka, by partition */
	struct archive archive;
	struct ranges lost; /* owned; holes that were found just now */
	struct progress progress;
	struct archive_sums sums;
};

/* --- opening --- */

static int archive_copy_lock(struct archive_copy *copy, struct err *err)
{
	SCOPED(xfreep) char *path = xasprintf("%s/_lock", copy->dir);

	copy->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (copy->lock < 0)
		return err_set(err, ERR_IO, "cannot write '%s': %s", path, strerror(errno));
	if (!flock(copy->lock, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_BUSY, "another 'lambda-batch archive' is at work on '%s'", copy->dir);
	return err_set(err, ERR_IO, "cannot lock '%s': %s", path, strerror(errno));
}

/* The root must be there: one that is not mounted is not to be taken for an empty one. */
static int archive_copy_open_dir(struct archive_copy *copy, struct err *err)
{
	const char *root = copy->config->archive;

	if (access(root, W_OK | X_OK))
		return err_set(err, ERR_IO,
			"--archive: cannot write to the directory '%s': %s; hint: make it first", root,
			strerror(errno));
	if (archive_make_dir(copy->dir, err) || archive_sync_dir(root, err) || archive_copy_lock(copy, err))
		return -1;
	return archive_open(root, copy->config->topic, &copy->archive, err);
}

static int archive_copy_open_kafka(struct archive_copy *copy, struct err *err)
{
	const struct config *config = copy->config;
	int64_t wait_ms = config->connect_wait_ms > ARCHIVE_TRY_MS ? config->connect_wait_ms : ARCHIVE_TRY_MS;
	rd_kafka_conf_t *conf;
	size_t n;

	if (kafka_conf(config, RD_KAFKA_CONSUMER, &conf, err) ||
		kafka_open(&copy->rk, RD_KAFKA_CONSUMER, conf, err))
		return -1;
	if (kafka_describe(copy->rk, config->topic, wait_ms, &copy->log, err))
		return err_wrap(err, "cannot reach Kafka at '%s'", config->brokers);
	n = (size_t)copy->log.n_partitions;
	copy->first = xcalloc(n, sizeof(*copy->first));
	copy->end = xcalloc(n, sizeof(*copy->end));
	copy->started_wall_ms = clock_wall_ms();
	for (int i = 0; i < copy->log.n_partitions; i++)
		if (kafka_range(copy->rk, config->topic, i, wait_ms, &copy->first[i], &copy->end[i], err))
			return -1;
	return 0;
}

/* What a killed one left behind. */
static int archive_copy_sweep(const char *path, struct err *err)
{
	DIR *dir = opendir(path);

	if (!dir)
		return err_set(err, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
	for (struct dirent *entry; (entry = readdir(dir));) {
		size_t len = strlen(entry->d_name);

		if (entry->d_name[0] == '.' && len > 4 && !strcmp(entry->d_name + len - 4, ".tmp"))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
	return 0;
}

/* The note of an archive of Kafka's log. */
static struct archive_note archive_copy_noted(const struct archive_copy *copy, int64_t archived_ms)
{
	struct archive_note note = { .n_partitions = copy->log.n_partitions, .archived_ms = archived_ms };

	snprintf(note.log, sizeof(note.log), "%s", copy->log.identity);
	return note;
}

static int archive_copy_note(struct archive_copy *copy, int64_t archived_ms, struct err *err)
{
	struct archive_note note = archive_copy_noted(copy, archived_ms);
	struct archive_buffer text = { 0 };
	int failed;

	archive_note_write(&text, &note);
	failed = archive_write_small(copy->dir, ARCHIVE_NOTE_NAME, &text, err);
	archive_buffer_release(&text);
	return failed;
}

static char *archive_copy_part_dir(const struct archive_copy *copy, int partition)
{
	return xasprintf("%s/partition=%d", copy->dir, partition);
}

/* The note comes before the first file: without it nobody looks for files. One that got lost is written anew,
 * when all that there is turns out to be of this log. */
static int archive_copy_prepare(struct archive_copy *copy, struct err *err)
{
	const struct archive_note *note = &copy->archive.note, none = archive_copy_noted(copy, 0);
	bool lost = !copy->archive.present;

	if (lost) {
		archive_release(&copy->archive);
		if (archive_open_with(copy->config->archive, copy->config->topic, &none, &copy->archive, err))
			return -1;
	}
	if (archive_check_log(&copy->archive, copy->config, &copy->log, err) ||
		(lost && archive_copy_note(copy, 0, err)))
		return -1;
	for (int i = 0; i < copy->log.n_partitions; i++) {
		SCOPED(xfreep) char *path = archive_copy_part_dir(copy, i);

		if (archive_make_dir(path, err) || archive_copy_sweep(path, err))
			return -1;
	}
	if (archive_sync_dir(copy->dir, err))
		return -1;
	if (note->n_partitions == copy->log.n_partitions)
		return 0;
	return archive_copy_note(copy, note->archived_ms, err);
}

/* --- jobs --- */

/* The first range from `from` on that the archive lacks and Kafka has. */
static bool archive_copy_gap(
	struct archive_copy *copy, int partition, int64_t from, int64_t *ret_from, int64_t *ret_to)
{
	static const struct archive_part none;
	const struct archive_part *part =
		partition < copy->archive.n_parts ? &copy->archive.parts[partition] : &none;
	int64_t at = from, next;

	for (const struct archive_file *file; (file = archive_part_at(part, at));)
		at = file->manifest.to;
	next = archive_part_next(part, at);
	if (at < copy->first[partition]) {
		int64_t to = next >= 0 && next < copy->first[partition] ? next : copy->first[partition];

		if (next < 0 && at) /* at its end, so nobody has been told yet */
			ranges_add(&copy->lost, (struct range){ partition, at, to });
		else
			log_warn("the archive lacks the offsets from %" PRId64 " to %" PRId64
				 " of partition %d, and Kafka does not have them any more",
				at, to, partition);
		return archive_copy_gap(copy, partition, to, ret_from, ret_to);
	}
	*ret_from = at;
	*ret_to = next >= 0 && next < copy->end[partition] ? next : copy->end[partition];
	return *ret_from < *ret_to;
}

/* The log's last record below the offset, as far as the archive knows. */
static struct tail archive_copy_before(const struct archive_copy *copy, int partition, int64_t offset)
{
	const struct archive_file *file =
		partition < copy->archive.n_parts && offset
			? archive_part_at(&copy->archive.parts[partition], offset - 1)
			: NULL;
	struct tail tail;

	tail_init(&tail);
	return file && file->manifest.to == offset ? file->manifest.tail : tail;
}

static int archive_copy_jobs(struct archive_copy *copy, int64_t *from, struct archive_job *jobs)
{
	int n = 0;

	for (int i = 0; i < copy->log.n_partitions; i++) {
		struct part *part = &jobs[n].part;
		struct tail before;

		jobs[n].broken_off = false;
		*part = (struct part){ .partition = i };
		if (!archive_copy_gap(copy, i, from[i], &part->next, &part->cut))
			continue;
		from[i] = part->cut;
		before = archive_copy_before(copy, i, part->next);
		archive_writer_init(&jobs[n].writer, copy->config, archive_copy_part_dir(copy, i),
			copy->log.identity, i, part->next, &before);
		n++;
	}
	return n;
}

/* One gap of each partition at a time, until none is left. */
static int archive_copy_work(struct archive_copy *copy, struct err *err)
{
	size_t n_parts = (size_t)copy->log.n_partitions;
	SCOPED(xfreep) struct archive_job *jobs = xcalloc(n_parts, sizeof(*jobs));
	SCOPED(xfreep) int64_t *from = xcalloc(n_parts, sizeof(*from));
	int failed = 0, n;

	while (!failed && (n = archive_copy_jobs(copy, from, jobs)) > 0) {
		int64_t total = copy->sums.n_records;

		for (int i = 0; i < n; i++)
			total += jobs[i].part.cut - jobs[i].part.next;
		progress_phase(&copy->progress, "archiving", "records", total);
		failed = archive_jobs_run(jobs, n, copy->config, &copy->progress, &copy->sums, err);
		if (!failed)
			progress_end(&copy->progress, copy->sums.n_records);
		for (int i = 0; i < n; i++)
			archive_writer_release(&jobs[i].writer);
	}
	return failed;
}

/* --- the command --- */

static int archive_copy_report(const struct archive_copy *copy, struct err *err)
{
	SCOPED(xfreep) char *lost = ranges_text(&copy->lost);

	log_info("'%s' has the log up to its end%s: %" PRId64 " records in %" PRId64 " files with %" PRId64
		 " bytes were added",
		copy->dir, copy->sums.n_broken_off ? " in the other partitions" : "", copy->sums.n_records,
		copy->sums.n_files, copy->sums.n_bytes);
	if (!copy->lost.n && copy->sums.n_broken_off)
		return err_set(err, ERR_DATA,
			"%" PRId64 " partitions are not archived to their end: they have a record that is "
			"too large, see above",
			copy->sums.n_broken_off);
	if (!copy->lost.n)
		return 0;
	return err_set(err, ERR_DATA,
		"Kafka's retention was faster than archiving: offsets %s are lost; all else is archived; "
		"hint: archive more "
		"often than retention.ms; a run needs --accept-lost for them",
		lost);
}

static int archive_copy(const struct config *config, struct err *err)
{
	struct archive_copy copy = {
		.config = config, .dir = xasprintf("%s/%s", config->archive, config->topic), .lock = -1
	};
	bool is_first;
	int failed;

	progress_start(&copy.progress, NULL, 0);
	failed = archive_copy_open_dir(&copy, err) || archive_copy_open_kafka(&copy, err);
	is_first = !copy.archive.present;
	failed = failed || archive_copy_prepare(&copy, err);
	if (!failed && !is_first)
		archive_warn_retention(&copy.archive, copy.rk, config);
	FAILPOINT("archive.prepared");
	failed = failed || archive_copy_work(&copy, err);
	FAILPOINT("archive.copied");
	failed = failed || (!copy.sums.n_broken_off && archive_copy_note(&copy, copy.started_wall_ms, err)) ||
		 archive_copy_report(&copy, err);
	kafka_close(&copy.rk);
	archive_release(&copy.archive);
	ranges_release(&copy.lost);
	free(copy.first);
	free(copy.end);
	free(copy.dir);
	if (copy.lock >= 0)
		close(copy.lock);
	return failed ? -1 : 0;
}

int archive(const struct config *config, struct err *err)
{
	const char *what = config->n_args > 1 ? config->args[1] : "";

	if (!*config->archive)
		return err_set(
			err, ERR_USAGE, "archive: --archive=ROOT is needed: the directory of the archive");
	if (!*what)
		return archive_copy(config, err);
	if (!strcmp(what, "cat"))
		return archive_cat(config, config->n_args > 2 ? config->args[2] : NULL, err);
	if (!strcmp(what, "verify") && config->n_args == 2)
		return archive_verify(config, err);
	return err_set(err, ERR_USAGE, "archive: '%s' is none of: cat [PARTITION[:FROM-TO]], verify",
		config->args[config->n_args - 1]);
}
