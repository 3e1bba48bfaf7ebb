#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/zipf.h"

/* Vose: every slot holds the same share; what a light one lacks is filled up from a heavy one, its alias. */
void zipf_init(struct zipf *z, uint32_t n, uint32_t flat)
{
	uint64_t total = 0, *share = xreallocarray(NULL, n, sizeof(*share));
	uint32_t *order = xreallocarray(NULL, n, sizeof(*order)), n_small = 0, n_large = 0;

	z->n = n;
	z->slots = xcalloc(n, sizeof(*z->slots));
	for (uint32_t k = 0; k < n; k++) {
		share[k] = (UINT64_C(1) << 38) / (k + flat + 1);
		total += share[k];
	}
	/* light ones from the front of `order`, heavy ones from its end */
	for (uint32_t k = 0; k < n; k++) {
		share[k] *= n;
		order[share[k] < total ? n_small++ : n - ++n_large] = k;
	}
	while (n_small > 0 && n_large > 0) {
		uint32_t small = order[--n_small], large = order[n - n_large];

		z->slots[small].keep = (uint32_t)(((unsigned __int128)share[small] << 32) / total);
		z->slots[small].alias = large;
		share[large] -= total - share[small];
		if (share[large] < total) {
			n_large--;
			order[n_small++] = large;
		}
	}
	/* the rest is full; what draws of the last 2^-32 would miss goes to itself */
	for (uint32_t i = 0; i < n_small; i++)
		z->slots[order[i]] = (struct zipf_slot){ UINT32_MAX, order[i] };
	for (uint32_t i = 0; i < n_large; i++)
		z->slots[order[n - 1 - i]] = (struct zipf_slot){ UINT32_MAX, order[n - 1 - i] };
	free(order);
	free(share);
}

void zipf_release(struct zipf *z)
{
	free(z->slots);
	*z = (struct zipf){ 0 };
}
