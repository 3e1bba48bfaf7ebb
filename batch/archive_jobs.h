/* What of the log is to be archived, and the threads that do it. */
#ifndef BATCH_ARCHIVE_JOBS_H
#define BATCH_ARCHIVE_JOBS_H

#include "batch/archive_writer.h"
#include "batch/progress.h"

/* One range of one partition: from the first offset that the archive lacks and Kafka has. */
struct archive_job {
	struct part part; /* next and cut: what is to be read */
	struct archive_writer writer;
	bool broken_off;
};

struct archive_sums {
	int64_t n_records, n_files, n_bytes;
	int64_t n_broken_off; /* partitions that end at a record which no file can have */
};

/* Reads [next, cut) of each job's part and writes it; a handle and a thread for each share of the jobs. No
 * two jobs are of one partition. When reading ends early (a signal, Kafka away) what was read is kept: files
 * end where it ended. A record that no file can have ends its partition alone, and is told in the log. */
MUST_USE int archive_jobs_run(struct archive_job *jobs, int n_jobs, const struct config *config,
	struct progress *progress, struct archive_sums *sums, struct err *err);

#endif
