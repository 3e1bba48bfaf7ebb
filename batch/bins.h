/* Facts on their way from the readers to the search for duplicates: thrown into bins by the hash of their id,
 * so that each bin can be searched alone, in little memory. What does not fit into memory goes to a file that
 * has no name any more. A writer belongs to one reader and is written by one thread; when all have written,
 * any thread may read. */
#ifndef BATCH_BINS_H
#define BATCH_BINS_H

#include "batch/spill.h"
#include "common/kernel/horizon.h"

struct bins_plan {
	unsigned n_bins; /* a power of two */
	size_t block_bytes;
	int64_t writer_bytes; /* held by one writer before it spills */
	const char *spill_dir; /* borrowed */
	bool tight; /* memory_bytes is too little for so many records: it will be exceeded */
};

/* How to bin a log of n_records with n_writers and as many searching threads within memory_bytes. */
struct bins_plan bins_plan(int64_t n_records, int n_writers, int n_threads, int64_t memory_bytes,
	size_t bytes_per_id, const char *spill_dir);

static inline unsigned bins_of(const struct bins_plan *plan, struct event_id_hash id)
{
	return (unsigned)(id.high >> 40) & (plan->n_bins - 1);
}

struct bins_block;
struct bins_extent;

struct bins_bin {
	struct bins_block *first, *last; /* in memory, behind all extents */
	struct bins_extent *extents; /* in the spill file, oldest first */
	size_t n_extents;
};

struct bins_writer {
	const struct bins_plan *plan; /* borrowed */
	struct bins_bin *bins;
	struct bins_block *spare; /* free blocks of plan->block_bytes */
	int64_t held_bytes; /* in blocks that hold facts */
	struct spill spill;
};

void bins_writer_init(struct bins_writer *writer, const struct bins_plan *plan);
void bins_writer_release(struct bins_writer *writer);

/* Room for size_max bytes at the end of a bin, or NULL with *err (ERR_IO: the spill directory is full or
 * gone). */
unsigned char *bins_room(struct bins_writer *writer, unsigned bin, size_t size_max, struct err *err);
/* `size` bytes of that room are used. */
void bins_used(struct bins_writer *writer, unsigned bin, size_t size);

/* Walks through what a writer put into a bin, in order of writing, in pieces that hold whole facts. */
struct bins_cursor {
	const struct bins_writer *writer;
	unsigned bin;
	size_t extent;
	const struct bins_block *block;
	unsigned char *buffer; /* owned; free() it */
	size_t buffer_bytes;
};

void bins_cursor_start(struct bins_cursor *cursor, const struct bins_writer *writer, unsigned bin);
/* 1: a piece, valid until the next call; 0: that was all; -1: *err */
MUST_USE int bins_cursor_next(
	struct bins_cursor *cursor, const unsigned char **ret_at, size_t *ret_len, struct err *err);

#endif
