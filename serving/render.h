/* Answers as JSON (docs/api.md). Pure. */
#ifndef SERVING_RENDER_H
#define SERVING_RENDER_H

#include "serving/snapshot.h"

enum { RENDER_MAX_BYTES = 32 << 20 };

/* The caller owns one reference; NULL with a problem. question->from and to are set, `today` is not looked
 * at. */
struct body *render_day(
	const struct snapshot *snapshot, const struct question *question, struct problem *problem);
/* The late ledger of a day. */
struct body *render_late(
	const struct snapshot *snapshot, const struct question *question, struct problem *problem);
struct body *render_range(
	const struct snapshot *snapshot, const struct question *question, struct problem *problem);

/* The part that every answer ends with, from "as_of" to "caveat", for the days of the question. */
void render_provenance(struct out *out, const struct snapshot *snapshot, const struct question *question);

/* The same for an answer that is of the run alone. */
void render_batch_provenance(
	struct out *out, const struct snapshot *snapshot, const struct question *question);
/* A correction; dated: with its business day. */
void render_correction(struct out *out, const struct view_correction *correction, int64_t run, bool dated);

/* Ends an answer: takes *out. failed: a sum did not fit. NULL with a problem then, or when it is too large.
 */
struct body *render_finish(struct out *out, int failed, struct problem *problem);

/* Are the days of the question over, and all that was counted for them confirmed by the batch? */
bool render_final(const struct snapshot *snapshot, const struct question *question);

#endif
