/* A file for what does not fit into memory. It is unlinked as soon as it is open, so that nothing is left
 * behind, however the run ends. Written by one thread; when all is written, any thread may read. */
#ifndef BATCH_SPILL_H
#define BATCH_SPILL_H

#include "common/err.h"

struct spill {
	const char *dir; /* borrowed */
	int fd; /* -1: nothing was written */
	int64_t bytes; /* written so far */
};

#define SPILL_NONE(spill_dir) ((struct spill){ .dir = (spill_dir), .fd = -1 })
void spill_release(struct spill *spill);

/* Both: ERR_IO, the directory is full or gone. */
MUST_USE int spill_write(struct spill *spill, const void *data, size_t len, struct err *err);
MUST_USE int spill_read(const struct spill *spill, int64_t at, void *data, size_t len, struct err *err);

#endif
