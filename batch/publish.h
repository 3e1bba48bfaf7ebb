/* The moment in which a run becomes the answer: one transaction. */
#ifndef BATCH_PUBLISH_H
#define BATCH_PUBLISH_H

#include "batch/corrections.h"
#include "batch/part.h"
#include "common/config.h"
#include "common/pg.h"

struct publish {
	const struct config *config; /* borrowed, as all here */
	int64_t run;
	int64_t base_publication; /* what must still be published; 0: nothing */
	const char *kind; /* of the publication: run, rollback, publish; NULL: the run is kept, but waits */
	const char *state, *message; /* of a run that waits: built or quarantined, and why */
	const struct part *parts; /* of a run that is at work; none: it is complete already */
	int n_parts;
	const struct table *corrections; /* struct correction */
};

/* The run's tables are stored. Waits for locks briefly and tries again, until connect_wait is over
 * (ERR_BUSY). *conn may be another connection afterwards. ERR_SUPERSEDED: something else was published since
 * the run started, or another run took this one for dead, or it was pruned; nothing is changed.
 * ret_publication: unchanged for a run that waits. */
MUST_USE int publish_run(
	const struct publish *publish, PGconn **conn, int64_t *ret_publication, struct err *err);

#endif
