/* The kappa view: the live version of the Kappa store, read from Postgres alone (docs/kappa.md). Asks what
 * has changed some times a second, in one statement and so as of one moment; keeps a copy, and makes
 * snapshots of it. Another version that becomes live takes the place of the old one at once.
 *
 * What can fail: Postgres away, another schema, a version of another time zone. Then the snapshot grows old,
 * says so, and is given up after --max-speed-age: there is nothing else to answer from. One thread: the
 * loop's. */
#ifndef SERVING_KAPPAVIEW_H
#define SERVING_KAPPAVIEW_H

#include "common/config.h"
#include "serving/pg_link.h"
#include "serving/snapshot.h"

enum {
	KAPPAVIEW_POLL_MS = 100,
	KAPPAVIEW_NONE_MS = 1000, /* while no version is live */
	KAPPAVIEW_RENDER_MS = 500, /* a new snapshot at least so often */
	KAPPAVIEW_PARTITIONS_MAX = 4096,
};

struct kappaview {
	struct pg_link *link;
	uv_timer_t timer;
	const struct config *config; /* borrowed */
	const struct snapshot_rules *rules; /* borrowed */
	struct pg_link_call call, listen;
	bool asking, again; /* again: told while busy */
	bool ever; /* last_ok_ms is set */
	int64_t asked_ms, last_ok_ms, rendered_ms; /* loop's clock */
	struct err trouble; /* of the last answer; code ERR_NONE: none */
	struct picture_kappa version; /* id 0: none is live */
	struct batch_view *none; /* of which nothing is published */
	int n_partitions;
	struct speed_partition *partitions; /* owned; one generation each, exact as of the last answer */
	char id_text[24];
	char *partitions_text, *nexts_text; /* owned; Postgres arrays of what we have */
	struct merge_memory memory;
	struct snapshot *snapshot; /* one reference; NULL: nothing to answer with */
};

MUST_USE int kappaview_open(struct kappaview *view, uv_loop_t *loop, const struct config *config,
	const struct snapshot_rules *rules, struct err *err);
/* The struct must live until the loop has closed its handles; then kappaview_release(). */
void kappaview_close(struct kappaview *view);
void kappaview_release(struct kappaview *view);

/* Why there is no snapshot: a problem with status 404 (no version is live) or 503. */
void kappaview_explain(const struct kappaview *view, struct problem *problem);

#endif
