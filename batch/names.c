#include "common/base.h"
#include "batch/names.h"

#include "common/mem.h"

enum { NAMES_TEXTS_MIN = 65536, NAMES_TEXTS_PER_SKU = 4 };

void names_init(struct names *names)
{
	*names = (struct names){ .texts = dictionary_new() };
}

void names_release(struct names *names)
{
	free(names->names);
	dictionary_free(names->texts);
	*names = (struct names){ 0 };
}

static struct name *names_at(struct names *names, uint32_t sku)
{
	if (sku >= names->capacity) {
		names->capacity = sku < 512 ? 1024 : sku * 2;
		names->names = xreallocarray(names->names, names->capacity, sizeof(*names->names));
	}
	for (; names->n <= sku; names->n++)
		names->names[names->n].partition = -1;
	return &names->names[sku];
}

/* Products that are renamed with every order would fill the memory with names that nobody has any more. */
static void names_drop_old(struct names *names)
{
	struct dictionary *texts = dictionary_new();

	for (uint32_t sku = 0; sku < names->n; sku++) {
		struct name *name = &names->names[sku];

		if (name->partition >= 0)
			name->text = dictionary_put(texts, dictionary_get(names->texts, name->text));
	}
	dictionary_free(names->texts);
	names->texts = texts;
}

void names_see(struct names *names, uint32_t sku, struct text text, int64_t time_ms, int32_t partition,
	int64_t offset)
{
	struct name *name = names_at(names, sku);

	if (name->partition >= 0) {
		if (time_ms != name->time_ms           ? time_ms < name->time_ms
			: partition != name->partition ? partition < name->partition
						       : offset < name->offset)
			return;
	}
	*name = (struct name){ time_ms, offset, partition, dictionary_put(names->texts, text) };
	if (dictionary_count(names->texts) > NAMES_TEXTS_MIN &&
		dictionary_count(names->texts) / NAMES_TEXTS_PER_SKU > names->n)
		names_drop_old(names);
}

struct text names_get(const struct names *names, uint32_t sku)
{
	if (sku >= names->n || names->names[sku].partition < 0)
		return (struct text){ 0 };
	return dictionary_get(names->texts, names->names[sku].text);
}

void names_merge(struct names *names, struct dictionary *skus, const struct names *more,
	const struct dictionary *more_skus)
{
	for (uint32_t sku = 0; sku < more->n; sku++) {
		const struct name *name = &more->names[sku];

		if (name->partition >= 0)
			names_see(names, dictionary_put(skus, dictionary_get(more_skus, sku)),
				dictionary_get(more->texts, name->text), name->time_ms, name->partition,
				name->offset);
	}
}
