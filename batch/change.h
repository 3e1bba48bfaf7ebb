/* What a run would change, for people. */
#ifndef BATCH_CHANGE_H
#define BATCH_CHANGE_H

#include <stdio.h>

#include "batch/corrections.h"

/* Prints one line per business day and currency whose stored answer changes, or that has a correction, and
 * how the change comes about. ledger: as corrections_make() took it. ERR_IO when it cannot be written. */
MUST_USE int change_print(
	FILE *out, const struct ledger *ledger, const struct table *corrections, struct err *err);

#endif
