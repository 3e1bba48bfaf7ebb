/* What an operator tells the Kappa store: status, promote NAME, rollback, prune [NAME]... Each needs only
 * Postgres, and changes nothing when it fails. */
#ifndef SPEED_COMMANDS_H
#define SPEED_COMMANDS_H

#include "common/config.h"

extern const char commands_usage[];

/* The command in config->args, n_args > 0. ERR_USAGE: there is no such command or version; ERR_BUSY: the
 * version is not where it must be yet. Says on standard output what was done. */
MUST_USE int commands_run(const struct config *config, struct err *err);

#endif
