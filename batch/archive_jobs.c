#include "common/base.h"
#include "batch/archive_jobs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "batch/batch.h"
#include "batch/kafka_source.h"
#include "common/log.h"
#include "common/mem.h"

/* Each open file takes some MiB to compress, and each partition up to 16 MiB of what is fetched. */
enum { JOBS_AT_A_TIME = 8, JOBS_WATCH_MS = 50, JOBS_THREADS_MAX = 64 };

struct archive_worker {
	struct archive_jobs *jobs;
	pthread_t thread;
	bool started;
	int failed;
	struct err err;
};

struct archive_jobs {
	const struct config *config;
	struct archive_job *jobs;
	int n_jobs, at_a_time;
	_Atomic int next; /* the first job that nobody has taken */
	_Atomic int n_workers; /* at work */
	_Atomic int64_t n_records;
	_Atomic bool give_up;
};

static int archive_job_record(void *arg, const struct record *record, struct err *err)
{
	struct archive_jobs *jobs = arg;
	struct archive_job *job =
		(struct archive_job *)(void *)((char *)record->part - offsetof(struct archive_job, part));

	if (atomic_load_explicit(&jobs->give_up, memory_order_relaxed))
		return batch_stopped(err);
	atomic_fetch_add_explicit(&jobs->n_records, 1, memory_order_relaxed);
	if (!archive_writer_put(&job->writer, record, err))
		return 0;
	if (err->code != ERR_DATA)
		return -1;
	log_error("%s; the partition is archived up to it, the others go on", err->msg);
	job->part.cut = record->offset;
	job->broken_off = true;
	return 0;
}

/* Reading may have ended before the range did. After a failed write only what was finished before is kept. */
static int archive_jobs_end(struct archive_job *jobs, int n, int failed, struct err *err)
{
	struct err ignored;

	for (int i = 0; i < n; i++) {
		struct part *part = &jobs[i].part;
		int64_t to = part->next < part->cut ? part->next : part->cut;

		if (failed && err->code == ERR_IO)
			break;
		if (archive_writer_end(&jobs[i].writer, to, failed ? &ignored : err))
			failed = -1;
	}
	return failed;
}

static void *archive_worker_main(void *arg)
{
	struct archive_worker *worker = arg;
	struct archive_jobs *jobs = worker->jobs;
	struct part *parts[JOBS_AT_A_TIME];

	while (!worker->failed && !atomic_load(&jobs->give_up)) {
		int first = atomic_fetch_add(&jobs->next, jobs->at_a_time), n = 0;

		for (; n < jobs->at_a_time && first + n < jobs->n_jobs; n++)
			parts[n] = &jobs->jobs[first + n].part;
		if (!n)
			break;
		worker->failed =
			kafka_source_read(jobs->config, parts, n, archive_job_record, jobs, &worker->err);
		worker->failed = archive_jobs_end(&jobs->jobs[first], n, worker->failed, &worker->err);
	}
	if (worker->failed)
		atomic_store(&jobs->give_up, true);
	atomic_fetch_sub(&jobs->n_workers, 1);
	return NULL;
}

static int archive_n_workers(const struct config *config, int n_jobs)
{
	long n = config->readers ? (long)config->readers : sysconf(_SC_NPROCESSORS_ONLN);

	n = n < 1 ? 1 : n > JOBS_THREADS_MAX ? JOBS_THREADS_MAX : n;
	return (int)(n < n_jobs ? n : n_jobs);
}

static void archive_worker_start(struct archive_worker *worker, struct archive_jobs *jobs)
{
	int status;

	worker->jobs = jobs;
	status = pthread_create(&worker->thread, NULL, archive_worker_main, worker);
	worker->started = !status;
	if (status) {
		worker->failed = batch_no_thread(status, &worker->err);
		atomic_store(&jobs->give_up, true);
		atomic_fetch_sub(&jobs->n_workers, 1);
	}
}

int archive_jobs_run(struct archive_job *jobs, int n_jobs, const struct config *config,
	struct progress *progress, struct archive_sums *sums, struct err *err)
{
	struct archive_worker workers[JOBS_THREADS_MAX] = { 0 };
	int n = archive_n_workers(config, n_jobs), failed = 0;
	int share = (n_jobs + n - 1) / n;
	struct archive_jobs work = { .config = config,
		.jobs = jobs,
		.n_jobs = n_jobs,
		.at_a_time = share < JOBS_AT_A_TIME ? share : JOBS_AT_A_TIME,
		.n_workers = n };

	for (int i = 0; i < n; i++)
		archive_worker_start(&workers[i], &work);
	while (atomic_load(&work.n_workers)) {
		progress_at(progress, atomic_load(&work.n_records));
		clock_sleep_ms(JOBS_WATCH_MS);
	}
	for (int i = 0; i < n; i++) {
		if (workers[i].started)
			pthread_join(workers[i].thread, NULL);
		if (workers[i].failed && (!failed || err->code == ERR_STOPPED))
			*err = workers[i].err;
		failed |= workers[i].failed;
	}
	for (int i = 0; i < n_jobs; i++) {
		sums->n_records += jobs[i].writer.n_records;
		sums->n_files += jobs[i].writer.n_files;
		sums->n_bytes += jobs[i].writer.n_bytes;
		sums->n_broken_off += jobs[i].broken_off;
	}
	return failed;
}
