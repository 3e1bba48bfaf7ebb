/* What an answer should be taken with, in words for a person. Pure. */
#ifndef SERVING_CAVEAT_H
#define SERVING_CAVEAT_H

#include "serving/snapshot.h"

enum {
	CAVEAT_MAX = 1024,
	CAVEAT_LAG_MS = 5000, /* a speed layer that is further behind is worth a word */
};

/* False when there is nothing to say; else a sentence without a full stop, terminated. */
bool caveat_write(const struct snapshot *snapshot, const struct question *question, char buf[CAVEAT_MAX]);

/* Does the speed layer hold something of the days (and the currency) that no batch run has confirmed? */
bool caveat_has_provisional(const struct snapshot *snapshot, const struct question *question);

#endif
