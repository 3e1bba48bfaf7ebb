/* Where a worker keeps what it has folded: in Redis, where it is the speed layer's part of the answer
 * (keep_redis.c), or in Postgres, as a version of Kappa mode (keep_postgres.c). Everything else of a worker
 * is the same for both.
 *
 * Whatever goes wrong, the place decides: it takes a flush only when it begins where the last one ended, and
 * who is refused, or does not know the outcome, reads from there where to go on. All functions but open() and
 * release() need an open place, and close it where they return -1. One thread. */
#ifndef SPEED_KEEP_H
#define SPEED_KEEP_H

#include "common/err.h"

struct speed;
struct partition;

struct keep {
	const char *name; /* of the server, for messages */
	const char
		*mode; /* what stands behind the consumer group's name, before the version; NULL: nothing */
	size_t sums_max; /* a partition that holds so many is flushed before it folds on */

	/* Connects and checks; blocks up to some seconds. ERR_DATA and ERR_USAGE cannot be waited out. */
	int (*open)(struct speed *speed, struct err *err);
	/* Replies that are owed never come. */
	void (*close)(struct speed *speed);
	void (*release)(struct speed *speed); /* open or not */
	bool (*is_open)(const struct speed *speed);
	bool (*is_broken)(const struct speed *speed); /* open, but the connection is of no use any more */
	int (*fd)(const struct speed *speed); /* readable when there are replies; -1: closed */
	/* A flush is on its way: the next one has to wait. */
	bool (*is_flushing)(const struct speed *speed);

	/* All that is pending of the partition becomes part of what write() sends. */
	void (*flush)(struct speed *speed, struct partition *p);
	MUST_USE int (*write)(struct speed *speed, struct err *err);
	/* Takes the replies that are there, waiting for the first one up to timeout_ms; says what they mean
	 * by flush_done() and its like. */
	MUST_USE int (*read)(struct speed *speed, int timeout_ms, struct err *err);
	/* Takes all replies that are owed. */
	MUST_USE int (*drain)(struct speed *speed, struct err *err);

	/* Once a second: heartbeats of all partitions that are ours, and what else is due. */
	MUST_USE int (*tick)(struct speed *speed, struct err *err);
	/* The state of a partition into p->known; begins it where there is none. first: the log's first
	 * offset. what: how it came to that, for the log. Blocks. Does not close. */
	MUST_USE int (*load)(
		struct speed *speed, struct partition *p, int64_t first, char what[16], struct err *err);
	/* The log was replaced under us: what is kept of the partition may be of both logs, and nobody may go
	 * on with it. Says so in the log. Open or not. */
	void (*drop)(struct speed *speed, struct partition *p);
};

extern const struct keep keep_redis, keep_postgres;

#endif
