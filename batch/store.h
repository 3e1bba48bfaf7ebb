/* The result of a run into its own, plain tables in Postgres, which nobody reads until they are attached. */
#ifndef BATCH_STORE_H
#define BATCH_STORE_H

#include "batch/result.h"

/* One transaction; a second try when the connection breaks. Drops first what earlier runs left behind. *conn
 * may be another connection afterwards. replay_of: 0, or the run whose result is taken over. */
MUST_USE int store_result(const struct config *config, PGconn **conn, int64_t run,
	const struct result *result, int64_t replay_of, struct progress *progress, struct err *err);

#endif
