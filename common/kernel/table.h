/* A hash table of fixed-size entries: the entries stand densely in insertion order (so that walking them is a
 * plain loop and deterministic), an index of 32-bit slots finds them. An entry begins with its key: key_size
 * bytes, compared as bytes, so a key struct must have no padding. Not for more than 2^31 entries. One thread.
 */
#ifndef COMMON_KERNEL_TABLE_H
#define COMMON_KERNEL_TABLE_H

#include "common/base.h"

struct table {
	size_t entry_size, key_size;
	size_t n, capacity;
	unsigned char *entries; /* n * entry_size; moves when it grows */
	uint32_t *index; /* n_index slots, a power of two; 0 is free, else entry + 1 */
	size_t n_index;
};

void table_init(struct table *table, size_t entry_size, size_t key_size);
/* Empty again; a zeroed table is fine. */
void table_release(struct table *table);
/* Forgets the entries and keeps the memory. */
void table_clear(struct table *table);

/* The entry with that key; a new one is zeroed behind its key. Valid until the next table_put(). */
void *table_put(struct table *table, const void *key, bool *ret_new);
void *table_find(const struct table *table, const void *key); /* or NULL */

/* A table_put() or table_find() of that key follows soon. */
void table_prefetch(const struct table *table, const void *key);

static inline void *table_at(const struct table *table, size_t i)
{
	return table->entries + i * table->entry_size;
}

size_t table_bytes(const struct table *table); /* memory held */

#endif
