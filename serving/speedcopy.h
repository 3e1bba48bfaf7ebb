/* Our copy of one partition of the speed view, kept up to date by what lambda_1_read sends (docs/redis.md).
 * No I/O: it is given decoded replies.
 *
 * Why the copy is exact: a chunk that changed has a higher version and is sent again, whatever starts again
 * has another `born`, and as a last check the events counted in the chunks must be as many as the counters
 * say. */
#ifndef SERVING_SPEEDCOPY_H
#define SERVING_SPEEDCOPY_H

#include "common/redis_handover.h"
#include "serving/view.h"

struct speedcopy_generation {
	int64_t since; /* all chunks up to this version are here */
	bool complete;
	struct counters counters;
	struct table chunks;
};

struct speedcopy {
	const struct calendar *calendar; /* borrowed */
	struct speed_partition view; /* what merge reads; valid when exact */
	struct speedcopy_generation *gens; /* owned; parallel to view.gens */
	int64_t born;
	bool exact; /* false: it must be completed by another read before it is used */
	bool changed; /* by the reply that was taken last */
};

void speedcopy_init(struct speedcopy *copy, const struct calendar *calendar);
void speedcopy_release(struct speedcopy *copy);
/* Forgets everything. */
void speedcopy_reset(struct speedcopy *copy);

/* What to ask for next: n pairs, at least one; room for view.n_gens + 1. Returns n. */
size_t speedcopy_since(const struct speedcopy *copy, struct redis_since *pairs);

/* Takes the reply to a read with those pairs. -1: it contradicts itself or the copy, which is empty now. */
MUST_USE int speedcopy_take(struct speedcopy *copy, const struct redis_view *view, struct err *err);

#endif
