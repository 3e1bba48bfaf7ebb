/* The hand-over between batch and speed, as serving and batch see it (docs/architecture.md; the rules that
 * change the state are in common/handover.lua, which stands next to the model). Pure. */
#ifndef COMMON_KERNEL_HANDOVER_H
#define COMMON_KERNEL_HANDOVER_H

#include "common/base.h"

/* The speed layer's state of one partition between two cuts: it covers [start, next). */
struct generation {
	int64_t run; /* whose cut opened it; 0 before the first */
	int64_t start, next;
};

/* Do the generations from `run` on join the cut, without hole or overlap? gens are in order of run, the last
 * one open. Returns the index of the first generation to use, or -1. */
int handover_join(const struct generation *gens, size_t n_gens, int64_t run, int64_t cut);

#endif
