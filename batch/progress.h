/* How far the run is: a bar on a terminal, a log line every 10 s elsewhere, and the run's row once a second.
 * Main thread only. */
#ifndef BATCH_PROGRESS_H
#define BATCH_PROGRESS_H

#include "common/pg.h"

struct progress {
	PGconn *conn; /* borrowed; NULL: nothing goes to the run's row */
	int64_t run;
	bool terminal;
	const char *phase; /* "reading" */
	const char *unit; /* "records" */
	int64_t total;
	int64_t started_ms, drawn_ms, logged_ms, stored_ms;
};

void progress_start(struct progress *progress, PGconn *conn, int64_t run);
/* A phase of `total` units begins. */
void progress_phase(struct progress *progress, const char *phase, const char *unit, int64_t total);
/* As often as one likes. */
void progress_at(struct progress *progress, int64_t done);
/* The phase ends; logs it; returns how long it took. */
int64_t progress_end(struct progress *progress, int64_t done);

#endif
