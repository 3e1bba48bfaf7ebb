/* The run and the speed view: sealing at the cut, what speed said, adopting what was published. Redis is
 * optional: whatever goes wrong with it leaves the log's end as the cut, a warning, and a run that is as
 * right as any other. */
#ifndef BATCH_SEAL_H
#define BATCH_SEAL_H

#include "batch/ledger.h"
#include "batch/part.h"
#include "common/config.h"

struct seal {
	const struct config *config; /* borrowed, as all here */
	int64_t run, base_run;
	const char *log; /* identity */
	const char *fold, *base_fold; /* fold versions; base_fold is "" without a base */
	struct part *parts;
	int n_parts;
	bool without_kafka; /* what speed has is looked at, but nothing is sealed: what it seals could not be
			       read */
};

/* Sets cut and sealed of all parts: where speed's generation ends, if speed reaches the log's end within
 * seal_wait, else the log's end at the run's start. Reads what speed has said from the base's cut on into
 * ledger (LEDGER_SAID; speed_known). ret_answered: somebody may have been answered for what the run covers:
 * false when nothing was published and speed has no state at all. ERR_SUPERSEDED: a younger run has sealed.
 * ERR_STOPPED. Blocks for seal_wait and some seconds at most. */
MUST_USE int seal_take_cut(
	const struct seal *seal, struct ledger *ledger, bool *ret_answered, struct err *err);

/* Tells speed's state of the publication; warns when it cannot be told, for speed asks itself once a second.
 */
void seal_adopt(const struct seal *seal, int64_t publication);

#endif
