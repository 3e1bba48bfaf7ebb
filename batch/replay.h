/* A replay: a run that goes on from an older one that is right, instead of from the log's beginning. What
 * lies below that run's cut is taken over as it is stored; only what lies behind is counted anew, with the
 * duplicates of all history found as ever: by the ids that the older run has kept, or else by reading the log
 * below its cut for them. docs/replay.md has the reasons and what it costs. */
#ifndef BATCH_REPLAY_H
#define BATCH_REPLAY_H

#include <stdatomic.h>

#include "batch/history.h"
#include "batch/names.h"
#include "batch/progress.h"

/* What the older run covers of a partition: [first, next). */
struct replay_cut {
	int64_t first;
	int64_t next;
	struct fold_state state;
	struct tail tail;
	char ids[ID_HASH_MAX]; /* of ids_read() */
};

struct replay {
	int64_t run; /* whose result is taken over */
	struct counters counters; /* of it */
	bool truncated; /* it goes without older orders ... */
	struct ranges lost; /* owned; ... and without these offsets */
	struct ranges gone; /* owned; by_ids: of what it covers, what the log has lost since */
	struct replay_cut *cuts; /* owned, by partition */
	int n_cuts;
	bool by_ids; /* the ids that it has kept are used, and the log below its cut is not read */
	_Atomic bool ids_wrong; /* set by a reader: they are not what they should be */
	struct names names; /* by_ids: the products' names at its cut, and their skus */
	struct dictionary *skus;
	struct table ids; /* struct event_id_hash; of the valid events behind its cut */
};

/* Finds the run by --from and --base: the newest published one all of whose records are older than --from, of
 * the same log, time zone and settings. ERR_USAGE, --from is no time; ERR_DATA with a hint, there is none, or
 * by its ids it would take back what the published run has. */
MUST_USE int replay_find(struct replay *ret_replay, const struct config *config, PGconn *conn,
	const struct pg_published *published, struct err *err);
void replay_release(struct replay *replay);

/* Where each part's known range ends (part->known). By_ids reading begins there, and what is missing below is
 * what the older run has missed, wherever the log begins by now: history->holes are then those above. To be
 * called before history_check_holes(). ERR_DATA: behind the published cut; by_ids: Kafka has another log
 * there. */
MUST_USE int replay_mark(
	struct replay *replay, const struct config *config, struct history *history, struct err *err);
/* The kept ids are wrong, as *err says: everything is to be read after all. ERR_DATA: it is not there. */
MUST_USE int replay_without_ids(struct replay *replay, struct history *history, struct err *err);

/* Reads what lies behind the known ranges once, for the ids. Blocks; errors are those of reading. */
MUST_USE int replay_collect(struct replay *replay, const struct config *config, struct history *history,
	struct progress *progress, struct err *err);

static inline bool replay_has(const struct replay *replay, struct event_id_hash id)
{
	return table_find(&replay->ids, &id) != NULL;
}

#endif
