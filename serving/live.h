/* The answer of the moment: both views, merged anew whenever one of them has changed and at least once a
 * second, off the path of requests. One thread: the loop's. */
#ifndef SERVING_LIVE_H
#define SERVING_LIVE_H

#include "serving/batchview.h"
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
	struct batchview batchview;
	struct speedview speedview;
	struct merge_memory memory;
	struct snapshot *snapshot; /* one reference; NULL: no answer yet */
	uv_timer_t timer;
	int64_t started_ms, rendered_ms; /* loop's clock */
	uint64_t n_rendered;
	bool opened, complained;
};

MUST_USE int live_open(struct live *live, uv_loop_t *loop, const struct config *config, struct err *err);
/* Half-open is fine. The struct must live until the loop has closed its handles; then live_release(). */
void live_close(struct live *live);
void live_release(struct live *live);

/* Why there is no snapshot: a problem with status 503. */
void live_explain(const struct live *live, struct problem *problem);

#endif
