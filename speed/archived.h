/* Kappa mode with --archive: what a partition reads from the archive, before it reads Kafka from where the
 * archive ends (docs/kappa.md). Each offset comes from a file that has it, else from Kafka; where neither has
 * it the program ends and names the range, unless it was accepted as lost.
 *
 * A file is read twice: first it is checked whole, so that nothing of a damaged one is ever folded. Both
 * happen in pieces, between which the worker flushes, beats and answers its group. The list of files is read
 * anew on every recovery and where it ends, for more may have been archived meanwhile. One thread. */
#ifndef SPEED_ARCHIVED_H
#define SPEED_ARCHIVED_H

#include "common/plan.h"

struct speed;
struct partition;

/* Of a partition; starts zeroed. */
struct archived {
	bool is_open;
	bool reads; /* the next record comes from `file` */
	struct archive archive; /* the partition's files, as they were there when we looked last */
	const struct archive_file *file; /* of it */
	struct archive_reader *reader; /* NULL: at the file's beginning */
	bool checked; /* the file is as its manifest says: this is the second time */
	struct tail expected; /* the log's record there, if it comes by, must be this one; offset -1: none */
};

/* The worker reads the archive, if there is one. */
bool archived_is_used(const struct speed *speed);

/* Looks what there is of the partition. Does nothing when none is used. ERR_NO_INPUT may be waited out,
 * ERR_DATA may not: the archive is damaged or of another log. */
MUST_USE int archived_open(struct speed *speed, struct partition *p, struct err *err);
void archived_close(struct partition *p);

/* The following need not be open: then there is no archive. */

/* The lowest offset that the archive or Kafka has. */
int64_t archived_first(const struct partition *p, int64_t kafka_first);
/* An offset at or before the first record whose timestamp is >= time_ms; kafka_at: what Kafka says. */
int64_t archived_offset_at(const struct partition *p, int64_t time_ms, int64_t kafka_at);
/* The last record that was archived. offset -1: none. */
struct tail archived_tail(const struct partition *p);
/* p->known.tail is the archive's own record, if that has it: ERR_DATA when not. What cannot be seen at once
 * is seen to when the file is read. */
MUST_USE int archived_check(struct partition *p, struct err *err);

/* Of one that warms or folds: says where the next record is read. kafka_first: the lowest offset that Kafka
 * has. Goes over what is lost and accepted. ERR_DATA: a hole. */
MUST_USE int archived_find(struct speed *speed, struct partition *p, int64_t kafka_first, struct err *err);

/* Takes records for some milliseconds, of the partitions that read the archive. True when none does. */
bool archived_take(struct speed *speed);

#endif
