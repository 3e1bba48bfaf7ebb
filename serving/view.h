/* What serving knows: the batch views that it has loaded, and its copy of the speed view. Plain data; one
 * thread. */
#ifndef SERVING_VIEW_H
#define SERVING_VIEW_H

#include "common/kernel/datetime.h"
#include "common/kernel/handover.h"
#include "common/kernel/table.h"
#include "common/kernel/tally.h"
#include "common/ranges.h"

struct view_day_key {
	int32_t day;
	int32_t currency;
};

/* Entry of a table: revenue of one business day and currency. */
struct view_day {
	struct view_day_key key;
	struct revenue revenue;
};

/* Entry of a table: the duplicates that the speed layer left out, by the business day that they name. */
struct view_duplicates {
	int32_t day;
	int32_t pad;
	int64_t n;
};

/* -- batch -- */

struct view_cut {
	int64_t next; /* -1: the run knew no such partition */
	int64_t latest_event_ms; /* or DATETIME_NONE */
};

enum { VIEW_CAUSES_MAX = 8, VIEW_CAUSE_TEXT_MAX = 40 };

struct view_cause {
	char cause[VIEW_CAUSE_TEXT_MAX];
	int64_t net_e4, events;
};

struct view_correction {
	struct view_day_key key;
	int64_t before_e4, after_e4;
	unsigned n_causes;
	struct view_cause causes[VIEW_CAUSES_MAX];
};

/* A published run; immutable once it is loaded. publication 0: nothing is published, everything is speed's
 * (run 0). */
struct batch_view {
	unsigned refs;
	int64_t publication, run;
	bool rollback; /* the publication is one: it may lower coverage */
	int64_t replay_of; /* the run that it goes on from; 0: none */
	int64_t taken_back; /* the run that was published before the rollback */
	bool truncated;
	struct ranges lost; /* owned; offsets that the run went over because they were gone */
	int64_t cut_time_ms, published_ms;
	int n_cuts;
	struct view_cut *cuts; /* owned, by partition */
	struct table days; /* struct view_day */
	struct table late; /* struct late_day */
	int64_t customers_from_ms; /* what the run keeps by customer; TALLY_NO_CUSTOMERS: nothing */
	size_t n_corrections;
	struct view_correction *corrections; /* owned; by day, then currency code */
};

struct batch_view *batch_view_new(void); /* one reference; nothing published */
struct batch_view *batch_view_ref(struct batch_view *view);
void batch_view_unref(struct batch_view *view); /* NULL is fine */

/* -- speed -- */

/* Our copy of a generation, exact at its next offset. */
struct speed_generation {
	struct generation range;
	struct table days; /* struct view_day */
	struct table duplicates; /* struct view_duplicates */
	struct table late; /* struct late_day */
	int64_t rejected;
};

struct speed_lost {
	int64_t run, from, to;
};

struct speed_beat {
	bool there;
	int64_t time_ms;
	int64_t end; /* of the log */
	int64_t next; /* worker's position at time_ms */
	int64_t waiting_ms; /* timestamp of the oldest record not yet in the state, or DATETIME_NONE */
	int64_t record_ms; /* when the last record arrived, or DATETIME_NONE */
	int64_t held; /* offsets that an open transaction holds back behind `end` */
	int64_t held_ms; /* since when, or DATETIME_NONE */
};

struct speed_partition {
	bool there; /* it has a state */
	bool excludes_late; /* by its rules, late events are not in its sums */
	size_t n_gens;
	struct speed_generation *gens; /* oldest first, the last one open */
	size_t n_lost;
	struct speed_lost *lost;
	int64_t latest_event_ms; /* or DATETIME_NONE */
	struct speed_beat beat;
};

/* Adds to a table of struct view_day; -1 on overflow. */
MUST_USE int view_days_add(struct table *days, struct view_day_key key, const struct revenue *revenue);
/* Adds to a table of struct late_day; -1 on overflow. */
MUST_USE int view_late_add(struct table *late, const struct late_day *more);
void view_duplicates_add(struct table *duplicates, int32_t day, int64_t n);

#endif
