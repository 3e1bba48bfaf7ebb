/* Kappa mode: a version in Postgres (docs/kappa.md). A flush of all partitions is one statement, and so one
 * transaction: offsets and sums change together, and a partition whose next offset is not the expected one
 * adds nothing.
 *
 * One statement at a time is under way: a flush or the heartbeats. Failure modes:
 * - the connection breaks: what was under way may have been committed or not; everything recovers, and reads
 *   the offsets again. A flush that Postgres is still busy with holds them locked, or comes too late;
 * - a statement is refused (disk full, a standby, a lock): its partitions recover, a little later;
 * - Postgres hangs: a write ends after KEEP_POSTGRES_WRITE_MS, a reply that is overdue closes the connection;
 * - the version is of another log, of other rules, or was pruned: the program ends with ERR_DATA. */
#ifndef SPEED_KEEP_POSTGRES_H
#define SPEED_KEEP_POSTGRES_H

#include "common/pg.h"
#include "speed/kappa_rows.h"

enum {
	KEEP_POSTGRES_SUMS_MAX = 65536,
	KEEP_POSTGRES_CONNECT_MS = 3000,
	KEEP_POSTGRES_WRITE_MS = 5000,
	KEEP_POSTGRES_REPLY_MS = 35000, /* longer than statement_timeout */
};

enum kappa_asked { KAPPA_NOTHING, KAPPA_FLUSH, KAPPA_BEAT };

struct kappa_sent {
	int partition;
	uint64_t life; /* of the partition then */
	bool done;
};

/* How fast a partition goes on. */
struct kappa_pace {
	int64_t next, ms; /* at the last heartbeat; monotonic */
	int64_t per_second;
};

struct kappa_keep {
	PGconn *conn; /* NULL: closed */
	char id[24]; /* of the version */
	enum kappa_asked asked;
	int64_t asked_ms; /* monotonic */
	bool beat_due;
	struct kappa_rows rows; /* of the next flush */
	struct kappa_sent *sent; /* owned: the partitions in it, or of the one under way */
	size_t n_sent, sent_capacity;
	struct kappa_array beats[9];
	struct kappa_pace *paces; /* owned; by partition */
	int n_paces;
};

#endif
