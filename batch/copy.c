#include "common/base.h"
#include "batch/copy.h"

#include <endian.h>

#include "batch/batch.h"
#include "common/failpoint.h"
#include "common/mem.h"

enum { COPY_BUFFER_BYTES = 256 << 10 }; /* no column is as large */

#define COPY_EPOCH_MS INT64_C(946684800000) /* 2000-01-01 */
#define COPY_EPOCH_DAY 10957

static void copy_flush(struct copy *copy)
{
	if (!copy->failed && copy->len && PQputCopyData(copy->conn, copy->buf, (int)copy->len) != 1)
		copy->failed = pg_error(copy->conn, NULL, &copy->err, copy->table);
	copy->len = 0;
}

static void copy_bytes(struct copy *copy, const void *bytes, size_t len)
{
	assert(len <= COPY_BUFFER_BYTES);
	if (copy->len + len > COPY_BUFFER_BYTES)
		copy_flush(copy);
	if (len)
		memcpy(copy->buf + copy->len, bytes, len);
	copy->len += len;
}

static void copy_int32(struct copy *copy, int32_t value)
{
	uint32_t be = htobe32((uint32_t)value);

	copy_bytes(copy, &be, sizeof(be));
}

void copy_start(struct copy *copy, PGconn *conn, const char *table)
{
	static const char header[] = "PGCOPY\n\377\r\n"; /* and the terminating 0 */
	char sql[160];

	*copy = (struct copy){ .conn = conn, .buf = xmalloc(COPY_BUFFER_BYTES) };
	snprintf(copy->table, sizeof(copy->table), "COPY %s", table);
	snprintf(sql, sizeof(sql), "COPY %s FROM STDIN (FORMAT binary, FREEZE)", table);
	copy->failed = pg_exec(conn, sql, 0, NULL, NULL, &copy->err);
	copy_bytes(copy, header, sizeof(header));
	copy_int32(copy, 0); /* flags */
	copy_int32(copy, 0); /* no more header */
	FAILPOINT("copy.started");
}

void copy_row(struct copy *copy, int n_columns)
{
	uint16_t be = htobe16((uint16_t)n_columns);

	if (!copy->failed && batch_stop_asked())
		copy->failed = batch_stopped(&copy->err);
	copy_bytes(copy, &be, sizeof(be));
	copy->n_rows++;
}

void copy_int64(struct copy *copy, int64_t value)
{
	uint64_t be = htobe64((uint64_t)value);

	copy_int32(copy, 8);
	copy_bytes(copy, &be, sizeof(be));
}

void copy_time(struct copy *copy, int64_t ms)
{
	copy_int64(copy, (ms - COPY_EPOCH_MS) * 1000);
}

void copy_date(struct copy *copy, int32_t day)
{
	copy_int32(copy, 4);
	copy_int32(copy, day - COPY_EPOCH_DAY);
}

void copy_text(struct copy *copy, struct text text)
{
	copy_int32(copy, (int32_t)text.len);
	copy_bytes(copy, text.at, text.len);
}

static int copy_result(struct copy *copy, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = PQgetResult(copy->conn);
	int failed = 0;

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		failed = pg_error(copy->conn, result, err, copy->table);
	else if (strtoll(PQcmdTuples(result), NULL, 10) != copy->n_rows)
		failed = err_set(err, ERR_INTERNAL, "%s: sent %" PRId64 " rows, %s arrived", copy->table,
			copy->n_rows, PQcmdTuples(result));
	for (PGresult *more; (more = PQgetResult(copy->conn));)
		PQclear(more);
	return failed;
}

int copy_end(struct copy *copy, struct err *err)
{
	int failed;

	copy_bytes(copy, "\377\377", 2);
	copy_flush(copy);
	FAILPOINT("copy.sent");
	failed = copy->failed;
	if (failed)
		*err = copy->err;
	else if (PQputCopyEnd(copy->conn, NULL) != 1)
		failed = pg_error(copy->conn, NULL, err, copy->table);
	else
		failed = copy_result(copy, err);
	free(copy->buf);
	copy->buf = NULL;
	return failed;
}
