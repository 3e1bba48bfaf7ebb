#include "common/base.h"
#include "speed/speed.h"

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"

#include <poll.h>

#define KAPPA_HOUR_MS (INT64_C(60) * MINUTE_MS)

static bool keep_postgres_is_open(const struct speed *speed)
{
	return speed->kappa && speed->kappa->conn;
}

static bool keep_postgres_is_broken(const struct speed *speed)
{
	return keep_postgres_is_open(speed) && PQstatus(speed->kappa->conn) != CONNECTION_OK;
}

static int keep_postgres_fd(const struct speed *speed)
{
	return keep_postgres_is_open(speed) ? PQsocket(speed->kappa->conn) : -1;
}

static bool keep_postgres_is_flushing(const struct speed *speed)
{
	return speed->kappa->asked != KAPPA_NOTHING;
}

static void keep_postgres_close(struct speed *speed)
{
	struct kappa_keep *kappa = speed->kappa;

	pg_close(&kappa->conn);
	kappa->asked = KAPPA_NOTHING;
	kappa->beat_due = false;
	kappa->n_sent = 0;
	kappa_rows_clear(&kappa->rows);
}

static void keep_postgres_release(struct speed *speed)
{
	struct kappa_keep *kappa = speed->kappa;

	if (!kappa)
		return;
	keep_postgres_close(speed);
	kappa_rows_release(&kappa->rows);
	for (size_t i = 0; i < ARRAY_SIZE(kappa->beats); i++)
		free(kappa->beats[i].text);
	free(kappa->sent);
	free(kappa->paces);
	free(kappa);
	speed->kappa = NULL;
}

/* --- open -------------------------------------------------------------------------------------- */

static int keep_postgres_session(PGconn *conn, struct err *err)
{
	const char *const lock_ms[] = { "10000" };

	if (pg_exec(conn, sql_session, 1, lock_ms, NULL, err) ||
		pg_exec(conn, sql_kappa_session, 0, NULL, NULL, err))
		return -1;
	return pg_schema_check(conn, err);
}

/* The version is one that this worker may add to. */
static int keep_postgres_check(const struct speed *speed, const PGresult *version, struct err *err)
{
	char what[96];

	snprintf(what, sizeof(what), "version '%s'", speed->config.version);
	if (recovery_check_origin(speed, what, PQgetvalue(version, 0, 2), PQgetvalue(version, 0, 1), err))
		return -1;
	if (strcmp(PQgetvalue(version, 0, 1), speed->fold) != 0)
		return err_set(err, ERR_DATA,
			"version '%s' is folded by other rules ('%s', here '%s'); hint: begin another one "
			"beside "
			"it with --version=NAME --from=beginning, then 'lambda-speed promote NAME'",
			speed->config.version, PQgetvalue(version, 0, 1), speed->fold);
	return 0;
}

static int keep_postgres_find(
	const struct speed *speed, PGconn *conn, PGresult **ret_version, struct err *err)
{
	return pg_exec(
		conn, sql_kappa_version, 1, (const char *const[]){ speed->config.version }, ret_version, err);
}

static int keep_postgres_begin(const struct speed *speed, PGconn *conn, bool any_live, struct err *err)
{
	const char *const params[] = { speed->config.version, build_id, speed->fold, speed->config.time_zone,
		speed->log.identity };

	if (any_live && strcmp(speed->config.from, "beginning") != 0)
		return err_set(err, ERR_USAGE,
			"there is no version '%s'; hint: --from=beginning begins it beside the live one, and "
			"folds "
			"the whole log into it",
			speed->config.version);
	if (pg_exec(conn, sql_kappa_version_add, ARRAY_SIZE(params), params, NULL, err))
		return -1;
	FAILPOINT("kappa.begun");
	log_info("version %s begins%s", speed->config.version,
		any_live ? " beside the live one" : ", and is live");
	return 0;
}

static int keep_postgres_version(const struct speed *speed, PGconn *conn, char id[24], struct err *err)
{
	SCOPED(pg_result_free) PGresult *version = NULL;

	if (keep_postgres_find(speed, conn, &version, err))
		return -1;
	if (PQgetisnull(version, 0, 0)) {
		if (keep_postgres_begin(speed, conn, *PQgetvalue(version, 0, 4) == 't', err))
			return -1;
		pg_result_free(&version);
		if (keep_postgres_find(speed, conn, &version, err))
			return -1;
		if (PQgetisnull(version, 0, 0))
			return err_set(
				err, ERR_DATABASE, "version '%s' is gone again", speed->config.version);
	}
	snprintf(id, 24, "%s", PQgetvalue(version, 0, 0));
	return keep_postgres_check(speed, version, err);
}

static int keep_postgres_prepare(PGconn *conn, struct err *err)
{
	static const char *const names[] = { "flush", "beat" };
	const char *const statements[] = { sql_kappa_flush, sql_kappa_beat };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		SCOPED(pg_result_free) PGresult *result = PQprepare(conn, names[i], statements[i], 0, NULL);

		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			return pg_error(conn, result, err, "cannot prepare the statements of kappa mode");
	}
	return PQsetnonblocking(conn, 1) ? pg_error(conn, NULL, err, "cannot use the connection") : 0;
}

static int keep_postgres_open(struct speed *speed, struct err *err)
{
	SCOPED(pg_close) PGconn *conn = NULL;
	char id[24];

	if (!speed->kappa)
		speed->kappa = xcalloc(1, sizeof(*speed->kappa));
	if (pg_open(speed->config.postgres, "lambda-speed", KEEP_POSTGRES_CONNECT_MS, &conn, err) ||
		keep_postgres_session(conn, err) || keep_postgres_version(speed, conn, id, err) ||
		keep_postgres_prepare(conn, err))
		return -1;
	memcpy(speed->kappa->id, id, sizeof(id));
	speed->kappa->conn = conn;
	conn = NULL; /* it has it now */
	return 0;
}

/* --- sending ----------------------------------------------------------------------------------- */

static int keep_postgres_lost(struct speed *speed, const char *what, struct err *err)
{
	pg_error(speed->kappa->conn, NULL, err, what);
	keep_postgres_close(speed);
	return -1;
}

/* Until all has left; what comes meanwhile is read, for the server may wait for that. */
static int keep_postgres_push(struct speed *speed, struct err *err)
{
	PGconn *conn = speed->kappa->conn;
	int64_t until_ms = clock_ms() + KEEP_POSTGRES_WRITE_MS;
	int left;

	while ((left = PQflush(conn)) > 0) {
		struct pollfd ready = { .fd = PQsocket(conn), .events = POLLIN | POLLOUT };

		if (clock_ms() > until_ms) {
			keep_postgres_close(speed);
			return err_set(err, ERR_DATABASE, "postgres takes nothing");
		}
		if (poll(&ready, 1, 100) > 0 && ready.revents & POLLIN && !PQconsumeInput(conn))
			break;
	}
	return left ? keep_postgres_lost(speed, "cannot write to postgres", err) : 0;
}

static int keep_postgres_ask(struct speed *speed, enum kappa_asked asked, const char *name, int n_params,
	const char *const *params, struct err *err)
{
	struct kappa_keep *kappa = speed->kappa;

	assert(kappa->asked == KAPPA_NOTHING);
	if (!PQsendQueryPrepared(kappa->conn, name, n_params, params, NULL, NULL, 0))
		return keep_postgres_lost(speed, "cannot write to postgres", err);
	kappa->asked = asked;
	kappa->asked_ms = clock_ms();
	return keep_postgres_push(speed, err);
}

/* Orders by customer are dropped by the hour, by the log's own clock: what is left is the same however the
 * log was cut into flushes. */
static int64_t keep_postgres_customers_hour(const struct partition *p)
{
	int64_t latest_ms = p->fold.state.latest_record_ms;

	return latest_ms < TALLY_CUSTOMERS_MS ? 0 : (latest_ms - TALLY_CUSTOMERS_MS) / KAPPA_HOUR_MS;
}

static void keep_postgres_flush(struct speed *speed, struct partition *p)
{
	struct kappa_keep *kappa = speed->kappa;
	int64_t hour = keep_postgres_customers_hour(p);
	struct redis_flush flush;

	if (kappa->n_sent == kappa->sent_capacity) {
		kappa->sent_capacity = kappa->sent_capacity ? 2 * kappa->sent_capacity : 16;
		kappa->sent = xreallocarray(kappa->sent, kappa->sent_capacity, sizeof(*kappa->sent));
	}
	partition_flush(p, speed->fold, &flush);
	kappa_rows_add(&kappa->rows, p->number, &flush, &p->pending, &speed->config.calendar, hour,
		hour != p->customers_hour);
	partition_sent(p);
	p->customers_hour = hour;
	kappa->sent[kappa->n_sent++] = (struct kappa_sent){ p->number, p->life, false };
}

static int keep_postgres_write(struct speed *speed, struct err *err)
{
	struct kappa_keep *kappa = speed->kappa;
	const char *params[1 + KAPPA_N_COLUMNS] = { kappa->id };
	int status;

	kappa_rows_params(&kappa->rows, params + 1);
	status = keep_postgres_ask(speed, KAPPA_FLUSH, "flush", ARRAY_SIZE(params), params, err);
	kappa_rows_clear(&kappa->rows); /* libpq has its own copy */
	return status;
}

/* --- heartbeats -------------------------------------------------------------------------------- */

static int64_t keep_postgres_pace(struct kappa_keep *kappa, const struct partition *p)
{
	struct kappa_pace *pace;
	int64_t now_ms = clock_ms(), ms, per_second;

	if (p->number >= kappa->n_paces) {
		kappa->paces = xreallocarray(kappa->paces, (size_t)p->number + 1, sizeof(*kappa->paces));
		while (kappa->n_paces <= p->number)
			kappa->paces[kappa->n_paces++] = (struct kappa_pace){ -1, 0, 0 };
	}
	pace = &kappa->paces[p->number];
	ms = now_ms - pace->ms;
	if (pace->next >= 0 && p->next >= pace->next && ms > 0) {
		per_second = (p->next - pace->next) * 1000 / ms;
		pace->per_second = pace->per_second ? (2 * pace->per_second + per_second) / 3 : per_second;
	}
	pace->next = p->next;
	pace->ms = now_ms;
	return pace->per_second;
}

static int keep_postgres_beat(struct speed *speed, struct err *err)
{
	struct kappa_keep *kappa = speed->kappa;
	const char *params[3 + ARRAY_SIZE(kappa->beats)];
	char time[24];
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kappa->beats); i++)
		kappa_array_clear(&kappa->beats[i]);
	for (int i = 0; i < speed->n_partitions; i++) {
		struct redis_beat beat;

		if (!progress_is_ours(speed->partitions[i]) || speed->partitions[i]->next < 0)
			continue;
		progress_beat(speed, speed->partitions[i], &beat);
		kappa_array_number(&kappa->beats[0], i);
		kappa_array_number(&kappa->beats[1], beat.end);
		kappa_array_number(&kappa->beats[2], beat.next);
		kappa_array_time(&kappa->beats[3], beat.waiting_ms);
		kappa_array_time(&kappa->beats[4], beat.record_ms);
		kappa_array_number(&kappa->beats[5], beat.held);
		kappa_array_time(&kappa->beats[6], beat.held_ms);
		kappa_array_number(&kappa->beats[7], keep_postgres_pace(kappa, speed->partitions[i]));
		kappa_array_number(&kappa->beats[8], speed->partitions[i]->archived.reads);
		n++;
	}
	kappa->beat_due = false;
	if (!n)
		return 0;
	snprintf(time, sizeof(time), "%" PRId64, clock_wall_ms());
	params[0] = kappa->id;
	params[1] = speed->worker;
	params[2] = time;
	for (size_t i = 0; i < ARRAY_SIZE(kappa->beats); i++)
		params[3 + i] = kappa_array_done(&kappa->beats[i]);
	return keep_postgres_ask(speed, KAPPA_BEAT, "beat", ARRAY_SIZE(params), params, err);
}

static int keep_postgres_tick(struct speed *speed, struct err *err)
{
	speed->kappa->beat_due = true;
	return speed->kappa->asked == KAPPA_NOTHING ? keep_postgres_beat(speed, err) : 0;
}

/* --- replies ----------------------------------------------------------------------------------- */

/* What was sent and not dropped since; NULL: it was. */
static struct partition *keep_postgres_sent(const struct speed *speed, const struct kappa_sent *sent)
{
	struct partition *p = speed->partitions[sent->partition];

	return sent->life != p->life || p->state == PARTITION_AWAY || p->state == PARTITION_WAITING ? NULL
												    : p;
}

static void keep_postgres_on_flush(struct speed *speed, const PGresult *result)
{
	struct kappa_keep *kappa = speed->kappa;
	struct err err = { 0 };
	bool failed = PQresultStatus(result) != PGRES_TUPLES_OK;

	FAILPOINT("kappa.committed"); /* or not, when it failed */
	if (failed)
		pg_error(kappa->conn, result, &err, "cannot flush");
	for (int row = 0; !failed && row < PQntuples(result); row++)
		for (size_t i = 0; i < kappa->n_sent; i++)
			if (kappa->sent[i].partition == pg_number(result, row, 0))
				kappa->sent[i].done = true;
	for (size_t i = 0; i < kappa->n_sent; i++) {
		struct partition *p = keep_postgres_sent(speed, &kappa->sent[i]);

		if (!p)
			continue;
		if (failed)
			flush_failed(speed, p, &err);
		else if (kappa->sent[i].done)
			flush_done(p);
		else
			flush_refused(speed, p, "next", -1);
	}
	kappa->n_sent = 0;
}

static void keep_postgres_on_result(struct speed *speed, const PGresult *result)
{
	struct err err = { 0 };

	if (speed->kappa->asked == KAPPA_FLUSH) {
		keep_postgres_on_flush(speed, result);
		return;
	}
	if (PQresultStatus(result) != PGRES_COMMAND_OK && complaint_due(&speed->no_keep)) {
		pg_error(speed->kappa->conn, result, &err, "no heartbeat");
		log_warn("%s; retrying", err.msg);
	}
}

static int keep_postgres_take(struct speed *speed, struct err *err)
{
	struct kappa_keep *kappa = speed->kappa;

	if (!PQconsumeInput(kappa->conn))
		return keep_postgres_lost(speed, "cannot read from postgres", err);
	while (kappa->asked != KAPPA_NOTHING && !PQisBusy(kappa->conn)) {
		SCOPED(pg_result_free) PGresult *result = PQgetResult(kappa->conn);

		if (PQstatus(kappa->conn) != CONNECTION_OK)
			return keep_postgres_lost(speed, "the connection to postgres broke", err);
		if (result)
			keep_postgres_on_result(speed, result);
		else
			kappa->asked = KAPPA_NOTHING;
	}
	return kappa->asked == KAPPA_NOTHING && kappa->beat_due ? keep_postgres_beat(speed, err) : 0;
}

static int keep_postgres_read(struct speed *speed, int timeout_ms, struct err *err)
{
	struct kappa_keep *kappa = speed->kappa;
	struct pollfd ready = { .fd = PQsocket(kappa->conn), .events = POLLIN };

	if (poll(&ready, 1, timeout_ms) > 0)
		return keep_postgres_take(speed, err);
	if (kappa->asked == KAPPA_NOTHING || clock_ms() - kappa->asked_ms < KEEP_POSTGRES_REPLY_MS)
		return 0;
	keep_postgres_close(speed);
	return err_set(err, ERR_DATABASE, "postgres does not answer");
}

static int keep_postgres_drain(struct speed *speed, struct err *err)
{
	while (speed->kappa->asked != KAPPA_NOTHING)
		if (keep_postgres_read(speed, 100, err))
			return -1;
	return 0;
}

/* --- load -------------------------------------------------------------------------------------- */

static int keep_postgres_state(
	const struct speed *speed, struct partition *p, const PGresult *result, struct err *err)
{
	struct redis_state state = { .present = true,
		.latest = { pg_time(result, 0, 2), pg_time(result, 0, 3) },
		.n_generations = 1 };

	if (tail_parse(PQgetvalue(result, 0, 4), &state.tail))
		return err_set(err, ERR_DATA, "partition %d of version '%s' has a tail that is none: '%s'",
			p->number, speed->config.version, PQgetvalue(result, 0, 4));
	snprintf(state.fold, sizeof(state.fold), "%s", PQgetvalue(result, 0, 5));
	snprintf(state.log, sizeof(state.log), "%s", PQgetvalue(result, 0, 6));
	state.generations = xcalloc(1, sizeof(*state.generations));
	state.generations->start = pg_number(result, 0, 0);
	state.generations->next = pg_number(result, 0, 1);
	redis_state_release(&p->known);
	p->known = state; /* takes it */
	return 0;
}

static int keep_postgres_load(
	struct speed *speed, struct partition *p, int64_t first, char what[16], struct err *err)
{
	SCOPED(pg_result_free) PGresult *result = NULL;
	PGconn *conn = speed->kappa->conn;
	char number[24], offset[24];
	const char *const params[] = { speed->kappa->id, number, offset };

	snprintf(number, sizeof(number), "%d", p->number);
	snprintf(offset, sizeof(offset), "%" PRId64, first);
	if (pg_exec(conn, sql_kappa_begin, 3, params, NULL, err) ||
		pg_exec(conn, sql_kappa_state, 2, params, &result, err))
		return -1;
	if (!PQntuples(result))
		return err_set(err, ERR_DATA, "version '%s' was pruned while it was worked on",
			speed->config.version);
	FAILPOINT("kappa.loaded");
	snprintf(what, 16, "%.15s", speed->config.version);
	return keep_postgres_state(speed, p, result, err);
}

/* The version is of two logs, which nothing mends: no worker may go on with it. */
static void keep_postgres_drop(struct speed *speed, struct partition *p)
{
	struct err err = { 0 };

	err_set(&err, ERR_DATABASE, "postgres is away");
	if (keep_postgres_is_open(speed) && keep_postgres_drain(speed, &err) == 0 &&
		pg_exec(speed->kappa->conn, sql_kappa_spoil, 1, (const char *const[]){ speed->kappa->id },
			NULL, &err) == 0)
		log_warn("partition %d: version '%s' may have records of both logs, and is marked so; begin "
			 "another one",
			p->number, speed->config.version);
	else
		log_warn("partition %d: version '%s' may have records of both logs, and cannot be marked so: "
			 "%s; "
			 "ignoring that, begin another one",
			p->number, speed->config.version, err.msg);
}

const struct keep keep_postgres = {
	.name = "postgres",
	.mode = "kappa",
	.sums_max = KEEP_POSTGRES_SUMS_MAX,
	.open = keep_postgres_open,
	.close = keep_postgres_close,
	.release = keep_postgres_release,
	.is_open = keep_postgres_is_open,
	.is_broken = keep_postgres_is_broken,
	.fd = keep_postgres_fd,
	.is_flushing = keep_postgres_is_flushing,
	.flush = keep_postgres_flush,
	.write = keep_postgres_write,
	.read = keep_postgres_read,
	.drain = keep_postgres_drain,
	.tick = keep_postgres_tick,
	.load = keep_postgres_load,
	.drop = keep_postgres_drop,
};
