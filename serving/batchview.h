/* The batch view: asks Postgres what is published (when told so, and once a second) and loads it.
 * Keeps the last few: an older one is needed until the speed layer has adopted the newer one.
 *
 * What can fail: Postgres away, a schema that is missing or old, a run that is not whole or of another time
 * zone. Then the views stay as they are, last_ok_ms grows old, and it is tried again. One thread: the loop's.
 */
#ifndef SERVING_BATCHVIEW_H
#define SERVING_BATCHVIEW_H

#include "common/config.h"
#include "serving/pg_link.h"
#include "serving/view.h"

enum { BATCHVIEW_KEPT = 4, BATCHVIEW_POLL_MS = 1000 };

enum batchview_step {
	BATCHVIEW_IDLE,
	BATCHVIEW_POINTER,
	BATCHVIEW_CUTS,
	BATCHVIEW_DAYS,
	BATCHVIEW_LATE,
	BATCHVIEW_CORRECTIONS
};

struct batchview {
	struct pg_link *link;
	uv_timer_t timer;
	const struct config *config; /* borrowed */
	void (*on_change)(void *data); /* views[0] is a new one */
	void *data;
	size_t n_views; /* 0: never asked with success */
	struct batch_view *views[BATCHVIEW_KEPT]; /* newest publication first */
	int64_t last_ok_ms; /* loop's clock */
	enum batchview_step step;
	bool again; /* told while busy */
	struct err trouble; /* of the last round, when it is not the link's; code ERR_NONE: none */
	struct pg_link_call call, listen;
	struct batch_view *loading;
	int64_t loading_counted; /* events that the run counted; -1: not known */
	char run_text[24];
};

MUST_USE int batchview_open(struct batchview *batchview, uv_loop_t *loop, const struct config *config,
	void (*on_change)(void *data), void *data, struct err *err);
/* The struct must live until the loop has closed its handles. */
void batchview_close(struct batchview *batchview);

/* Why the newest batch view cannot be loaded, for people; NULL: nothing is known to be wrong. */
const char *batchview_trouble(const struct batchview *batchview);

#endif
