/* Layout: 32 hex digits, the hash of the block before or zeros; per entry the number of offsets that were
 * passed over, doubled, plus 1 if there is an id; the timestamp's difference to the last one's; the id. */
#include "common/base.h"
#include "batch/id_block.h"

#include "batch/varint.h"
#include "common/kernel/hash.h"
#include "common/mem.h"

enum { ID_BLOCK_HEAD = ID_HASH_MAX - 1, ID_BLOCK_GROW = 64 << 10, ID_ENTRY_MAX = 2 * VARINT_MAX + 16 };

static const char id_block_first[ID_HASH_MAX] = "00000000000000000000000000000000";

void id_block_start(struct id_block *block, const char *older)
{
	if (!block->capacity) {
		block->capacity = ID_BLOCK_GROW;
		block->bytes = xmalloc(block->capacity);
	}
	memcpy(block->bytes, *older ? older : id_block_first, ID_BLOCK_HEAD);
	block->len = ID_BLOCK_HEAD;
	block->offset = -1;
	block->record_ms = 0;
}

bool id_block_is_empty(const struct id_block *block)
{
	return block->len <= ID_BLOCK_HEAD;
}

bool id_block_takes(const struct id_block *block, int64_t offset)
{
	return id_block_is_empty(block) || offset / ID_BLOCK_OFFSETS == block->offset / ID_BLOCK_OFFSETS;
}

void id_block_add(struct id_block *block, const struct id_entry *entry)
{
	unsigned char *at;

	assert(entry->offset > block->offset);
	if (block->capacity - block->len < ID_ENTRY_MAX) {
		block->capacity *= 2;
		block->bytes = xrealloc(block->bytes, block->capacity);
	}
	at = varint_put(
		block->bytes + block->len, (uint64_t)(entry->offset - block->offset - 1) << 1 | entry->valid);
	/* a record's timestamp may be anything, and the difference must not overflow */
	at = varint_put(
		at, varint_zigzag((int64_t)((uint64_t)entry->record_ms - (uint64_t)block->record_ms)));
	if (entry->valid) {
		memcpy(at, &entry->id, sizeof(entry->id));
		at += sizeof(entry->id);
	}
	block->len = (size_t)(at - block->bytes);
	block->offset = entry->offset;
	block->record_ms = entry->record_ms;
}

void id_block_hash(const unsigned char *bytes, size_t len, char ret_hash[ID_HASH_MAX])
{
	uint64_t low, high;

	hash_128(bytes, len, &low, &high);
	snprintf(ret_hash, ID_HASH_MAX, "%016" PRIx64 "%016" PRIx64, high, low);
}

bool id_block_is(const unsigned char *bytes, size_t len, const char *hash, const char *older)
{
	char found[ID_HASH_MAX];

	id_block_hash(bytes, len, found);
	return !strcmp(found, hash) && len >= ID_BLOCK_HEAD &&
	       !memcmp(bytes, *older ? older : id_block_first, ID_BLOCK_HEAD);
}

int id_block_each(const unsigned char *bytes, size_t len, id_entry_fn *on_entry, void *arg, struct err *err)
{
	const unsigned char *at = bytes + ID_BLOCK_HEAD, *end = bytes + len;
	struct id_entry entry = { .offset = -1 };

	while (at < end) {
		uint64_t passed, difference;

		at = varint_get(at, &passed);
		at = varint_get(at, &difference);
		entry.offset += 1 + (int64_t)(passed >> 1);
		entry.record_ms =
			(int64_t)((uint64_t)entry.record_ms + (uint64_t)varint_unzigzag(difference));
		entry.valid = passed & 1;
		if (entry.valid) {
			memcpy(&entry.id, at, sizeof(entry.id));
			at += sizeof(entry.id);
		}
		if (on_entry(arg, &entry, err))
			return -1;
	}
	return 0;
}
