/* A block that is already there is not written again: a run finds those of the last one, and adds what is
 * new. Nothing names a block before its run is published, and one that nothing names goes with the next
 * prune; so a kill leaves nothing behind. Failure modes:
 * - Postgres away or full: ERR_DATABASE; the run goes on, and keeps no ids
 * - a prune sweeps for longer than connect_wait: ERR_BUSY, the same. SIGTERM ends the wait
 * - a block is gone or damaged: 1, and the replay reads the log, which writes it anew */
#include "common/base.h"
#include "batch/ids.h"

#include "batch/batch.h"
#include "batch/database.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"

enum { IDS_PAUSE_MS = 100 };

void ids_release(struct ids *ids)
{
	database_close(&ids->conn);
}

static int ids_open(struct ids *ids, struct err *err)
{
	return ids->conn ? 0 : database_open(ids->config, &ids->conn, err);
}

/* --- writing --- */

static int ids_try_lock(struct ids *ids, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;

	if (pg_exec(ids->conn, sql_lock_ids, 0, NULL, &result, err))
		return -1;
	ids->locked = *PQgetvalue(result, 0, 0) == 't';
	return 0;
}

/* A sweep may be on its way that began before this run did. */
static int ids_lock(struct ids *ids, struct err *err)
{
	int64_t deadline_ms = clock_ms() + ids->config->connect_wait_ms;
	bool said = false;

	if (!ids->locked && (ids_open(ids, err) || ids_try_lock(ids, err)))
		return -1;
	while (!ids->locked) {
		if (batch_stop_asked())
			return batch_stopped(err);
		if (clock_ms() >= deadline_ms)
			return err_set(err, ERR_BUSY, "a prune is at the ids for long");
		if (!said)
			log_info("a prune is at the ids: waiting for its end");
		said = true;
		batch_sleep_ms(IDS_PAUSE_MS);
		if (ids_try_lock(ids, err))
			return -1;
	}
	return 0;
}

void ids_chain_release(struct ids_chain *chain)
{
	free(chain->block.bytes);
	*chain = (struct ids_chain){ 0 };
}

static int ids_has(struct ids *ids, const char *hash, bool *ret_has, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;

	if (pg_exec(ids->conn, sql_ids_has, 1, &hash, &result, err))
		return -1;
	*ret_has = *PQgetvalue(result, 0, 0) == 't';
	return 0;
}

static int ids_write(struct ids *ids, struct ids_chain *chain, struct err *err)
{
	const struct id_block *block = &chain->block;
	char hash[ID_HASH_MAX], number[DATABASE_NUMBER_MAX];
	const char *const params[] = { hash, *chain->newest ? chain->newest : NULL,
		database_number(number, chain->n_blocks), (const char *)block->bytes };
	bool has = false;

	id_block_hash(block->bytes, block->len, hash);
	if (ids_lock(ids, err) || (!ids->mend && ids_has(ids, hash, &has, err)))
		return -1;
	if (!has && pg_exec_bytes(ids->conn, sql_ids_put, 4, params, block->len, NULL, err))
		return -1;
	FAILPOINT("ids.block");
	memcpy(chain->newest, hash, sizeof(hash));
	chain->n_blocks++;
	id_block_start(&chain->block, chain->newest);
	return 0;
}

int ids_put(struct ids *ids, struct ids_chain *chain, const struct id_entry *entry, struct err *err)
{
	if (!chain->block.capacity)
		id_block_start(&chain->block, "");
	if (!id_block_takes(&chain->block, entry->offset) && ids_write(ids, chain, err))
		return -1;
	id_block_add(&chain->block, entry);
	return 0;
}

int ids_end(struct ids *ids, struct ids_chain *chain, struct err *err)
{
	return id_block_is_empty(&chain->block) ? 0 : ids_write(ids, chain, err);
}

/* --- reading --- */

static int ids_damaged(const char *hash, const char *what, struct err *err)
{
	err_set(err, ERR_DATA, "block %s of the kept ids is %s", hash, what);
	return 1;
}

static int ids_read_block(struct ids *ids, const char *hash, const char *older, id_entry_fn *on_entry,
	void *arg, struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	const unsigned char *bytes;
	size_t len;

	if (pg_exec_bytes(ids->conn, sql_ids_block, 1, &hash, 0, &result, err))
		return 1;
	if (!PQntuples(result))
		return ids_damaged(hash, "gone", err);
	bytes = (const unsigned char *)PQgetvalue(result, 0, 0);
	len = (size_t)PQgetlength(result, 0, 0);
	if (!id_block_is(bytes, len, hash, older))
		return ids_damaged(hash, "damaged", err);
	ids->read_bytes += (int64_t)len;
	return id_block_each(bytes, len, on_entry, arg, err);
}

int ids_read(struct ids *ids, const char *newest, id_entry_fn *on_entry, void *arg, struct err *err)
{
	SCOPED(pg_result_free) PGresult *chain = NULL;
	const char *older = "";
	int status = 0;

	if (!*newest)
		return 0;
	if (ids_open(ids, err))
		return err->code == ERR_STOPPED ? -1 : 1;
	if (pg_exec(ids->conn, sql_ids_chain, 1, &newest, &chain, err))
		return 1;
	if (!PQntuples(chain))
		return ids_damaged(newest, "gone", err);
	for (int i = 0; i < PQntuples(chain) && !status; i++) {
		status = ids_read_block(ids, PQgetvalue(chain, i, 0), older, on_entry, arg, err);
		older = PQgetvalue(chain, i, 0);
	}
	return status;
}
