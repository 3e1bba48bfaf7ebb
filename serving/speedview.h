/* The speed view: reads all partitions from Redis again and again, what changed since the last time, and
 * keeps a copy. A read begins some 20 ms after the last one ended. Partitions are found by asking: those of
 * the batch's cuts, those found before, and once a second some more behind them, as long as there are any.
 *
 * What can fail: Redis away, its functions lost (speed loads them again), a partition that is damaged (speed
 * mends it). Then the copy stays as it is, last_ok_ms grows old, and it is tried again. One thread: the
 * loop's. */
#ifndef SERVING_SPEEDVIEW_H
#define SERVING_SPEEDVIEW_H

#include "common/config.h"
#include "serving/redis_link.h"
#include "serving/speedcopy.h"

enum {
	SPEEDVIEW_PAUSE_MS = 20,
	SPEEDVIEW_RETRY_MS = 250,
	SPEEDVIEW_PROBE_MS = 1000,
	SPEEDVIEW_PROBES = 8, /* partitions behind the last one found */
	SPEEDVIEW_CHUNKS = 200, /* per reply and generation */
	SPEEDVIEW_PARTITIONS_MAX = 4096,
};

struct speedview_read {
	struct redis_link_call call;
	struct speedview *speedview;
	int partition;
};

struct speedview {
	struct redis_link *link;
	uv_timer_t timer;
	const struct config *config; /* borrowed */
	void (*on_change)(void *data); /* the copy has changed, or is whole again */
	void *data;
	int n_copies; /* partitions known */
	int n_expected; /* partitions that the batch knows */
	struct speedcopy *copies; /* owned; n_room of them */
	struct speed_partition *partitions; /* owned; n_room; what merge reads, borrowed from the copies */
	struct speedview_read *reads; /* owned; n_room; stay where they are during a round */
	int n_room;
	int n_asked, n_open; /* of the round under way */
	bool probing, failed, complete; /* of the round under way */
	bool changed; /* since on_change was called last */
	bool ever; /* last_ok_ms is set */
	bool away; /* it is known that the speed view cannot be asked */
	bool complained; /* in the log, about what is not the link's own trouble */
	bool closing;
	int64_t last_ok_ms, last_probe_ms; /* loop's clock */
};

MUST_USE int speedview_open(struct speedview *speedview, uv_loop_t *loop, const struct config *config,
	void (*on_change)(void *data), void *data, struct err *err);
/* The struct must live until the loop has closed its handles; then speedview_release(). */
void speedview_close(struct speedview *speedview);
void speedview_release(struct speedview *speedview);

/* The batch knows of so many partitions. */
void speedview_expect(struct speedview *speedview, int n_partitions);
/* Is every partition's copy exact? Then merge may read them. */
bool speedview_is_exact(const struct speedview *speedview);
/* It is known that the speed view cannot be asked. */
bool speedview_is_away(const struct speedview *speedview);
/* For merge: valid until the loop goes on. */
const struct speed_partition *speedview_partitions(struct speedview *speedview);

#endif
