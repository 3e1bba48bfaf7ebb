/* A replay: a run that goes on from an older one that is right, instead of from the log's beginning. What
 * lies below that run's cut is taken over as it is stored; only what lies behind is counted anew, with the
 * duplicates of all history found as ever: the log below the cut is read for the ids that occur behind it,
 * and for nothing that is counted. docs/replay.md has the reasons and what it costs. */
#ifndef BATCH_REPLAY_H
#define BATCH_REPLAY_H

#include "batch/history.h"
#include "batch/progress.h"

struct replay {
	int64_t run; /* whose result is taken over */
	int64_t records, counted, duplicate, rejected, late; /* of it */
	int64_t *cuts; /* owned, by partition */
	int n_cuts;
	struct table ids; /* struct event_id_hash; of the valid events behind its cut */
};

/* Finds the run by --from and --base: the newest published one all of whose records are older than --from, of
 * the same log, time zone and settings. ERR_USAGE, --from is no time; ERR_DATA with a hint, there is none. */
MUST_USE int replay_find(struct replay *ret_replay, const struct config *config, PGconn *conn,
	const struct pg_published *published, struct err *err);
void replay_release(struct replay *replay);

/* Where each part's known range ends (part->known). ERR_DATA: behind the published cut. */
MUST_USE int replay_mark(const struct replay *replay, struct history *history, struct err *err);

/* Reads what lies behind the known ranges once, for the ids. Blocks; errors are those of reading. */
MUST_USE int replay_collect(struct replay *replay, const struct config *config, struct history *history,
	struct progress *progress, struct err *err);

static inline bool replay_has(const struct replay *replay, struct event_id_hash id)
{
	return table_find(&replay->ids, &id) != NULL;
}

#endif
