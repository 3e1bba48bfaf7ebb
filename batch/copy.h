/* Rows to Postgres by COPY in its binary format. One COPY at a time per connection; blocking. */
#ifndef BATCH_COPY_H
#define BATCH_COPY_H

#include "common/kernel/text.h"
#include "common/pg.h"

struct copy {
	PGconn *conn; /* borrowed */
	char *buf; /* owned */
	size_t len;
	int64_t n_rows;
	char table[80];
	int failed;
	struct err err;
};

/* Begins COPY TABLE (a trusted name, with its schema), which must be made in the same transaction. Always end
 * it with copy_end(). */
void copy_start(struct copy *copy, PGconn *conn, const char *table);

/* A row of n_columns, each given by one of the functions behind. Failures show in copy_end(). */
void copy_row(struct copy *copy, int n_columns);
void copy_int64(struct copy *copy, int64_t value);
void copy_time(struct copy *copy, int64_t ms); /* timestamptz */
void copy_date(struct copy *copy, int32_t day);
void copy_text(struct copy *copy, struct text text);

/* Ends the COPY. -1: *err (ERR_STOPPED after a signal); then the connection is of no use any more. */
MUST_USE int copy_end(struct copy *copy, struct err *err);

#endif
