/* What Postgres knows of the runs themselves: their reports, their corrections, and figures for the metrics;
 * and of the versions of the Kappa store. Each question is one statement (two for the status), asked when it
 * comes and not kept; figures are asked for every few seconds.
 *
 * What can fail: Postgres away, or too many who ask: a problem with status 503; a run that is not there: 404.
 * The figures stay as they are then. One thread: the loop's. */
#ifndef SERVING_RUNS_H
#define SERVING_RUNS_H

#include "serving/live.h"
#include "serving/versions.h"
#include "serving/waiter.h"

enum { RUNS_MAX = 64, RUNS_FIGURES_MS = 5000, RUNS_STATUS_MAX = 100, RUNS_CORRECTIONS_MAX = 20000 };

/* name of the figure, help for the metric */
#define RUNS_FIGURES(X) \
	X(RUN, "run", "The last run that has ended.") \
	X(FINISHED, "finished_seconds", "When it ended, seconds since 1970.") \
	X(TOOK, "took_seconds", "How long it took.") \
	X(RECORDS, "records", "Records that it read.") \
	X(COUNTED, "counted_events", "Events that it counted.") \
	X(DUPLICATE, "duplicate_events", "Duplicates that it left out.") \
	X(REJECTED, "rejected_events", "Records that break a rule.") \
	X(LATE, "late_events", "Events that came after their minute was final.") \
	X(ROWS, "rows", "Rows that it stored.") \
	X(CORRECTIONS, "corrections", "Business days and currencies that it corrected.") \
	X(WAITING, "waiting_runs", "Runs that wait to be published by hand.") \
	X(AT_WORK, "at_work", "1 while a run is at work.")

enum runs_figure {
#define X(name, metric, help) RUNS_##name,
	RUNS_FIGURES(X)
#undef X
		RUNS_N_FIGURES,
};

struct runs_figures {
	bool known;
	char state[16]; /* of the last run that has ended */
	int64_t values[RUNS_N_FIGURES]; /* times in ms; -1: not known */
};

struct run_question;

struct runs {
	struct live *live; /* borrowed */
	struct pg_link *link;
	uv_timer_t timer;
	struct pg_link_call call, call_versions; /* of the figures */
	bool asking, asking_versions;
	struct runs_figures figures;
	struct versions versions; /* of the Kappa store */
	size_t n_open; /* questions under way */
};

MUST_USE int runs_open(struct runs *runs, uv_loop_t *loop, struct live *live, struct err *err);
/* Whoever waits is told. The struct must live until the loop has closed its handles. */
void runs_close(struct runs *runs);
void runs_release(struct runs *runs);

/* waiter->done will be called, maybe before this returns; waiter->question: route CORRECTIONS, RUNS, RUN or
 * STATUS. */
void runs_ask(struct runs *runs, struct waiter *waiter);

#endif
