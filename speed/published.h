/* What Postgres says is published, asked once a second by a thread of its own: a Postgres that hangs must not
 * stop folding. "Cannot ask" is not "nothing published": an answer older than PUBLISHED_FRESH_MS does not
 * count. An answer that has been overtaken meanwhile is harmless (adopt refuses an older publication, and a
 * newer one mends). */
#ifndef SPEED_PUBLISHED_H
#define SPEED_PUBLISHED_H

#include "common/config.h"
#include "common/pg.h"

enum { PUBLISHED_EVERY_MS = 1000, PUBLISHED_FRESH_MS = 5000 };

struct published;

/* Starts the thread. config is borrowed until published_stop() has returned true. */
struct published *published_start(const struct config *config);

/* The newest answer; NULL when there is none that counts, *err then says why not. Borrowed until the next
 * call. One thread. */
const struct pg_published *published_get(struct published *published, struct err *err);

/* Ends the thread and frees everything. False: a question to Postgres hangs, so the thread is left behind
 * with what it uses; the process is about to end. Accepts NULL. */
bool published_stop(struct published *published);

#endif
