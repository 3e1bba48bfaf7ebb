#include "common/base.h"
#include "common/kernel/handover.h"

int handover_join(const struct generation *gens, size_t n_gens, int64_t run, int64_t cut)
{
	size_t first = 0;

	while (first < n_gens && gens[first].run < run)
		first++;
	if (first == n_gens || gens[first].run != run)
		return -1;
	for (size_t i = first; i < n_gens; i++) {
		if (gens[i].start != cut)
			return -1;
		cut = gens[i].next;
	}
	return (int)first;
}
