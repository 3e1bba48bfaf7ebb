/* Postgres as a run needs it: a connection that is opened again when it was lost, with patience. */
#ifndef BATCH_DATABASE_H
#define BATCH_DATABASE_H

#include "batch/batch.h"
#include "common/pg.h"

/* Connects, and tries again with growing pauses until config->connect_wait_ms are over. Then ERR_DATABASE.
 * Blocks. Statements wait as long for a lock, then they are ERR_BUSY; they have no other
 * time limit. The connection is the caller's also
 * after a failure. */
MUST_USE int database_open(const struct config *config, PGconn **ret_conn, struct err *err);
/* The same connection when it is alive, else another one, that does not have the old one's locks. Not inside
 * a transaction. */
MUST_USE int database_ensure(const struct config *config, PGconn **conn, bool *ret_another, struct err *err);
/* Closes it; when this returns, its locks are free: a session ends some time after its connection, and who
 * comes next does not wait for it. Accepts NULL, a broken one too. */
void database_close(PGconn **conn);
/* The connection broke (the error is not the server's word about a statement). */
bool database_lost(const PGconn *conn);
enum { DATABASE_NUMBER_MAX = 24 };
/* A number as a parameter; returns buf. */
const char *database_number(char buf[DATABASE_NUMBER_MAX], int64_t number);

#endif
