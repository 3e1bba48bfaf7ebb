/* Looking at an archive; no server is needed. */
#ifndef BATCH_ARCHIVE_SHOW_H
#define BATCH_ARCHIVE_SHOW_H

#include "common/config.h"

/* Prints the lines of all partitions, or of one, or of [FROM, TO) of one. which: NULL, "PARTITION" or
 * "PARTITION:FROM-TO", else ERR_USAGE. A hole in what was asked for is ERR_DATA, at the end. Errors as of
 * reading; ERR_IO cannot print. */
MUST_USE int archive_cat(const struct config *config, const char *which, struct err *err);
/* Reads all, and prints a line for each partition and for all that is wrong. ERR_DATA: something is. */
MUST_USE int archive_verify(const struct config *config, struct err *err);

#endif
