/* When a writer holds its share of memory, it writes all its bins out in one go, bin by bin: so a spill is
 * one sequential write, and leaves one extent per bin. Failure mode: the directory cannot be written or is
 * full (ERR_IO; the run fails and publishes nothing). */
#include "common/base.h"
#include "batch/bins.h"

#include "common/mem.h"

enum {
	BINS_BLOCK_MIN = 512,
	BINS_BLOCK_MAX = 64 << 10,
	BINS_MAX = 8192,
	BINS_CACHE_IDS = 8192, /* so many ids are searched within a core's cache ... */
	BINS_CACHE_MAX = 256, /* ... but small blocks cost more than that brings */
};

struct bins_block {
	struct bins_block *next;
	size_t len, capacity;
	unsigned char data[];
};

struct bins_extent {
	int64_t at;
	size_t len;
};

struct bins_plan bins_plan(int64_t n_records, int n_writers, int n_threads, int64_t memory_bytes,
	size_t bytes_per_id, const char *spill_dir)
{
	struct bins_plan plan = { .n_bins = 16, .spill_dir = spill_dir };
	int64_t table_bytes = memory_bytes / 2 / n_threads; /* half for the search, half for the facts */
	int64_t block_bytes;

	while (plan.n_bins < BINS_CACHE_MAX && n_records / plan.n_bins > BINS_CACHE_IDS)
		plan.n_bins *= 2;
	/* ids do not spread quite evenly: a bin is planned for half the room */
	while (plan.n_bins < BINS_MAX && n_records / plan.n_bins * (int64_t)bytes_per_id > table_bytes / 2)
		plan.n_bins *= 2;
	plan.writer_bytes = memory_bytes / 2 / n_writers;
	block_bytes = plan.writer_bytes / plan.n_bins / 4;
	plan.block_bytes = (size_t)(block_bytes < BINS_BLOCK_MIN   ? BINS_BLOCK_MIN
				    : block_bytes > BINS_BLOCK_MAX ? BINS_BLOCK_MAX
								   : block_bytes);
	plan.tight = n_records / plan.n_bins * (int64_t)bytes_per_id > table_bytes ||
		     plan.writer_bytes < plan.n_bins * (int64_t)BINS_BLOCK_MIN;
	return plan;
}

void bins_writer_init(struct bins_writer *writer, const struct bins_plan *plan)
{
	*writer = (struct bins_writer){ .plan = plan, .spill = SPILL_NONE(plan->spill_dir) };
	writer->bins = xcalloc(plan->n_bins, sizeof(*writer->bins));
}

static void bins_free_blocks(struct bins_block *block)
{
	while (block) {
		struct bins_block *next = block->next;

		free(block);
		block = next;
	}
}

void bins_writer_release(struct bins_writer *writer)
{
	if (!writer->plan)
		return;
	for (unsigned i = 0; i < writer->plan->n_bins; i++) {
		bins_free_blocks(writer->bins[i].first);
		free(writer->bins[i].extents);
	}
	bins_free_blocks(writer->spare);
	free(writer->bins);
	spill_release(&writer->spill);
	*writer = (struct bins_writer){ 0 };
}

static void bins_recycle(struct bins_writer *writer, struct bins_bin *bin)
{
	for (struct bins_block *block = bin->first, *next; block; block = next) {
		next = block->next;
		if (block->capacity != writer->plan->block_bytes) {
			free(block);
			continue;
		}
		block->next = writer->spare;
		writer->spare = block;
	}
	bin->first = bin->last = NULL;
}

static int bins_spill(struct bins_writer *writer, struct err *err)
{
	for (unsigned i = 0; i < writer->plan->n_bins; i++) {
		struct bins_bin *bin = &writer->bins[i];
		int64_t at = writer->spill.bytes;

		if (!bin->first)
			continue;
		for (const struct bins_block *block = bin->first; block; block = block->next)
			if (spill_write(&writer->spill, block->data, block->len, err))
				return -1;
		bin->extents = xreallocarray(bin->extents, bin->n_extents + 1, sizeof(*bin->extents));
		bin->extents[bin->n_extents++] =
			(struct bins_extent){ at, (size_t)(writer->spill.bytes - at) };
		bins_recycle(writer, bin);
	}
	writer->held_bytes = 0;
	return 0;
}

/* A block for a fact of size_max bytes; larger facts get a block of their own size. */
static struct bins_block *bins_block_new(struct bins_writer *writer, size_t size_max)
{
	size_t capacity = size_max > writer->plan->block_bytes ? size_max : writer->plan->block_bytes;
	struct bins_block *block = writer->spare;

	if (block && capacity == writer->plan->block_bytes)
		writer->spare = block->next;
	else
		block = xmalloc(sizeof(*block) + capacity);
	block->next = NULL;
	block->len = 0;
	block->capacity = capacity;
	return block;
}

unsigned char *bins_room(struct bins_writer *writer, unsigned at, size_t size_max, struct err *err)
{
	struct bins_bin *bin = &writer->bins[at];

	if (!bin->last || bin->last->capacity - bin->last->len < size_max) {
		struct bins_block *block;

		if (writer->held_bytes >= writer->plan->writer_bytes && bins_spill(writer, err))
			return NULL;
		block = bins_block_new(writer, size_max);
		if (bin->last)
			bin->last->next = block;
		else
			bin->first = block;
		bin->last = block;
		writer->held_bytes += (int64_t)(sizeof(*block) + block->capacity);
	}
	return bin->last->data + bin->last->len;
}

void bins_used(struct bins_writer *writer, unsigned bin, size_t size)
{
	struct bins_block *block = writer->bins[bin].last;

	block->len += size;
	assert(block->len <= block->capacity);
}

void bins_cursor_start(struct bins_cursor *cursor, const struct bins_writer *writer, unsigned bin)
{
	cursor->writer = writer;
	cursor->bin = bin;
	cursor->extent = 0;
	cursor->block = writer->bins[bin].first;
}

static int bins_load(struct bins_cursor *cursor, const struct bins_extent *extent, struct err *err)
{
	if (cursor->buffer_bytes < extent->len) {
		cursor->buffer = xrealloc(cursor->buffer, extent->len);
		cursor->buffer_bytes = extent->len;
	}
	return spill_read(&cursor->writer->spill, extent->at, cursor->buffer, extent->len, err);
}

int bins_cursor_next(
	struct bins_cursor *cursor, const unsigned char **ret_at, size_t *ret_len, struct err *err)
{
	const struct bins_bin *bin = &cursor->writer->bins[cursor->bin];

	if (cursor->extent < bin->n_extents) {
		const struct bins_extent *extent = &bin->extents[cursor->extent++];

		if (bins_load(cursor, extent, err))
			return -1;
		*ret_at = cursor->buffer;
		*ret_len = extent->len;
		return 1;
	}
	if (!cursor->block)
		return 0;
	*ret_at = cursor->block->data;
	*ret_len = cursor->block->len;
	cursor->block = cursor->block->next;
	return 1;
}
