/* The answers of the moment: both views, merged anew whenever one of them has changed and at least once a
 * second, off the path of requests; and the kappa view next to them, or alone. One thread: the loop's. */
#ifndef SERVING_LIVE_H
#define SERVING_LIVE_H

#include "serving/batchview.h"
#include "serving/kappaview.h"
#include "serving/snapshot.h"
#include "serving/speedview.h"

enum {
	LIVE_RENDER_MS = 1000, /* at least so often */
	LIVE_TICK_MS = 100,
	LIVE_BATCH_AWAY_MS = 3000, /* a batch view that was not confirmed for so long is called unavailable */
	LIVE_START_MS = 3000, /* how long the first answer waits for the speed view */
};

struct live {
	const struct config *config; /* borrowed */
	struct snapshot_rules rules;
	bool kappa_only; /* --view=kappa: the two views below are not there */
	struct batchview batchview;
	struct speedview speedview;
	struct merge_memory memory;
	struct snapshot *snapshot; /* one reference; NULL: no answer yet */
	struct kappaview kappa;
	uv_timer_t timer;
	int64_t started_ms, rendered_ms; /* loop's clock */
	uint64_t n_rendered;
	bool opened, complained;
};

MUST_USE int live_open(struct live *live, uv_loop_t *loop, const struct config *config, struct err *err);
/* Half-open is fine. The struct must live until the loop has closed its handles; then live_release(). */
void live_close(struct live *live);
void live_release(struct live *live);

/* What to answer a question of that view from; borrowed; NULL: nothing, live_explain() says why. */
struct snapshot *live_snapshot(const struct live *live, enum question_view view);
/* A picture of the two views as of now, which may have grown stale; the caller owns one reference. */
struct snapshot *live_snapshot_of(const struct live *live, struct picture *picture);
/* What is answered with where no view was asked for. */
enum question_view live_view(const struct live *live);
/* Why there is no snapshot: a problem with status 503, or 404 where there will not be one. */
void live_explain(const struct live *live, enum question_view view, struct problem *problem);

#endif
