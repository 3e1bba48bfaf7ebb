/* The ids that a run keeps in Postgres (lambda.id_blocks), for a replay that goes on from it: a chain of
 * blocks per partition, of which lambda.cuts names the newest. Blocking; one thread per struct. */
#ifndef BATCH_IDS_H
#define BATCH_IDS_H

#include "batch/id_block.h"
#include "common/config.h"
#include "common/pg.h"

/* A connection of its own, opened when it is needed. */
struct ids {
	const struct config *config; /* borrowed */
	PGconn *conn;
	bool locked; /* no sweep is at work, so a block that is found stays */
	bool mend; /* blocks are written even where they seem to be there */
	int64_t read_bytes;
};

void ids_release(struct ids *ids);

/* A partition's chain while it is written. */
struct ids_chain {
	char newest[ID_HASH_MAX]; /* "": none yet */
	int n_blocks;
	struct id_block block; /* what comes behind it */
};

void ids_chain_release(struct ids_chain *chain);
/* The next record. ERR_DATABASE, ERR_BUSY, ERR_STOPPED. */
MUST_USE int ids_put(struct ids *ids, struct ids_chain *chain, const struct id_entry *entry, struct err *err);
/* All is written, chain->newest is the end. */
MUST_USE int ids_end(struct ids *ids, struct ids_chain *chain, struct err *err);

/* All entries of a partition, up to the end of block `newest`. 1: they cannot be had, *err says why; -1:
 * on_entry() has ended it, or ERR_STOPPED. */
MUST_USE int ids_read(struct ids *ids, const char *newest, id_entry_fn *on_entry, void *arg, struct err *err);

#endif
