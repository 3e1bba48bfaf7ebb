/* A block of event ids: of a partition's records, in order of offset, the ids (their hashes), offsets and
 * timestamps. It begins with the hash of the block before it, and is known by its own hash: so one hash binds
 * all that lie below. Pure. */
#ifndef BATCH_ID_BLOCK_H
#define BATCH_ID_BLOCK_H

#include "common/err.h"
#include "common/kernel/horizon.h"

enum {
	ID_HASH_MAX = 33, /* 32 hex digits and an end */
	ID_BLOCK_OFFSETS = 1 << 16, /* a block never reaches over a multiple of this, so blocks of the same
				       log are the same */
};

struct id_entry {
	int64_t offset, record_ms;
	bool valid; /* a record that was rejected has no id */
	struct event_id_hash id;
};

struct id_block {
	unsigned char *bytes; /* owned; free() them */
	size_t len, capacity;
	int64_t offset, record_ms; /* of the last entry */
};

/* Empty, behind the block `older` ("": the first). */
void id_block_start(struct id_block *block, const char *older);
void id_block_add(struct id_block *block, const struct id_entry *entry);
bool id_block_is_empty(const struct id_block *block);
/* May the record at `offset` come into the same block as the last one? */
bool id_block_takes(const struct id_block *block, int64_t offset);

void id_block_hash(const unsigned char *bytes, size_t len, char ret_hash[ID_HASH_MAX]);
/* Are these the bytes of block `hash`, behind the block `older`? */
bool id_block_is(const unsigned char *bytes, size_t len, const char *hash, const char *older);

/* -1 ends it. */
typedef int id_entry_fn(void *arg, const struct id_entry *entry, struct err *err);
/* The entries of a block whose hash is right. */
MUST_USE int id_block_each(
	const unsigned char *bytes, size_t len, id_entry_fn *on_entry, void *arg, struct err *err);

#endif
