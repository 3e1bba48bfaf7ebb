#include "common/base.h"
#include "common/kernel/table.h"
#include "common/kernel/hash.h"
#include "common/mem.h"

enum { TABLE_INDEX_MIN = 64 };

/* The sizes that the kernel's own keys have get code of their own. */
static inline uint64_t table_hash(const void *key, size_t size)
{
	switch (size) {
	case 8:
		return hash_64(key, 8);
	case 12:
		return hash_64(key, 12);
	default:
		return hash_64(key, size);
	}
}

static inline bool table_same(const void *a, const void *b, size_t size)
{
	switch (size) {
	case 8:
		return memcmp(a, b, 8) == 0;
	case 12:
		return memcmp(a, b, 12) == 0;
	default:
		return memcmp(a, b, size) == 0;
	}
}

void table_init(struct table *table, size_t entry_size, size_t key_size)
{
	assert(key_size > 0 && key_size <= entry_size);
	*table = (struct table){ .entry_size = entry_size, .key_size = key_size };
}

void table_release(struct table *table)
{
	free(table->entries);
	free(table->index);
	*table = (struct table){ .entry_size = table->entry_size, .key_size = table->key_size };
}

void table_clear(struct table *table)
{
	table->n = 0;
	if (table->n_index)
		memset(table->index, 0, table->n_index * sizeof(*table->index));
}

/* The slot where `key` stands, or the free one where it belongs. */
static size_t table_slot(const struct table *table, const void *key)
{
	size_t mask = table->n_index - 1;
	size_t slot = table_hash(key, table->key_size) & mask;

	while (table->index[slot] &&
		!table_same(table_at(table, table->index[slot] - 1), key, table->key_size))
		slot = (slot + 1) & mask;
	return slot;
}

static void table_grow_index(struct table *table)
{
	size_t mask;

	table->n_index = table->n_index ? table->n_index * 2 : TABLE_INDEX_MIN;
	mask = table->n_index - 1;
	free(table->index);
	table->index = xcalloc(table->n_index, sizeof(*table->index));
	for (size_t i = 0; i < table->n; i++) {
		size_t slot = table_hash(table_at(table, i), table->key_size) & mask;

		while (table->index[slot])
			slot = (slot + 1) & mask;
		table->index[slot] = (uint32_t)i + 1;
	}
}

void *table_put(struct table *table, const void *key, bool *ret_new)
{
	unsigned char *entry;
	size_t slot;

	if ((table->n + 1) * 2 > table->n_index)
		table_grow_index(table);
	slot = table_slot(table, key);
	*ret_new = table->index[slot] == 0;
	if (!*ret_new)
		return table_at(table, table->index[slot] - 1);
	if (table->n == table->capacity) {
		table->capacity = table->capacity ? table->capacity * 2 : TABLE_INDEX_MIN / 2;
		table->entries = xreallocarray(table->entries, table->capacity, table->entry_size);
	}
	assert(table->n < INT32_MAX);
	entry = table_at(table, table->n);
	memcpy(entry, key, table->key_size);
	memset(entry + table->key_size, 0, table->entry_size - table->key_size);
	table->index[slot] = (uint32_t)++table->n;
	return entry;
}

void *table_find(const struct table *table, const void *key)
{
	size_t slot;

	if (table->n == 0)
		return NULL;
	slot = table_slot(table, key);
	return table->index[slot] ? table_at(table, table->index[slot] - 1) : NULL;
}

void table_prefetch(const struct table *table, const void *key)
{
	if (table->n_index)
		__builtin_prefetch(&table->index[table_hash(key, table->key_size) & (table->n_index - 1)]);
}

size_t table_bytes(const struct table *table)
{
	return table->capacity * table->entry_size + table->n_index * sizeof(*table->index);
}
