#include "common/base.h"
#include "batch/progress.h"

#include <unistd.h>

#include "batch/batch.h"
#include "batch/database.h"
#include "common/log.h"
#include "embedded.h"

enum { PROGRESS_DRAW_MS = 200, PROGRESS_LOG_MS = 10000, PROGRESS_STORE_MS = 1000, PROGRESS_BAR = 30 };

void progress_start(struct progress *progress, PGconn *conn, int64_t run)
{
	*progress = (struct progress){ .conn = conn, .run = run, .terminal = isatty(STDERR_FILENO) };
}

void progress_phase(struct progress *progress, const char *phase, const char *unit, int64_t total)
{
	progress->phase = phase;
	progress->unit = unit;
	progress->total = total;
	progress->started_ms = progress->logged_ms = clock_ms();
	progress->drawn_ms = progress->stored_ms = 0; /* a new phase is shown at once */
	progress_at(progress, 0);
}

static int64_t progress_rate(const struct progress *progress, int64_t done, int64_t now_ms)
{
	int64_t ms = now_ms - progress->started_ms;

	return done * 1000 / (ms > 0 ? ms : 1);
}

static int64_t progress_eta_s(const struct progress *progress, int64_t done, int64_t now_ms)
{
	int64_t left = progress->total - done, rate = progress_rate(progress, done, now_ms);

	return left > 0 && rate ? (left + rate - 1) / rate : 0;
}

static void progress_draw(const struct progress *progress, int64_t done, int64_t now_ms)
{
	int full = progress->total > 0 && done < progress->total
			   ? (int)(done * PROGRESS_BAR / progress->total)
			   : PROGRESS_BAR;
	char bar[PROGRESS_BAR + 1], line[200];
	int len;

	memset(bar, ' ', PROGRESS_BAR);
	memset(bar, '=', (size_t)full);
	bar[PROGRESS_BAR] = '\0';
	len = snprintf(line, sizeof(line), "\r%-10s [%s] %3d %%  %" PRId64 " %s/s  %" PRId64 " s left \033[K",
		progress->phase, bar, full * 100 / PROGRESS_BAR, progress_rate(progress, done, now_ms),
		progress->unit, progress_eta_s(progress, done, now_ms));
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return; /* nobody watches */
}

static void progress_log(const struct progress *progress, int64_t done, int64_t now_ms)
{
	log_info("%s: %" PRId64 " of %" PRId64 " %s, %" PRId64 "/s, %" PRId64 " s left", progress->phase,
		done, progress->total, progress->unit, progress_rate(progress, done, now_ms),
		progress_eta_s(progress, done, now_ms));
}

static void progress_store(struct progress *progress, int64_t done, int64_t now_ms)
{
	char run[DATABASE_NUMBER_MAX], json[200];
	const char *const params[] = { database_number(run, progress->run), json };
	struct err err;

	snprintf(json, sizeof(json),
		"{\"phase\":\"%s\",\"unit\":\"%s\",\"done\":%" PRId64 ",\"total\":%" PRId64
		",\"per_second\":%" PRId64 "}",
		progress->phase, progress->unit, done, progress->total,
		progress_rate(progress, done, now_ms));
	if (!pg_exec(progress->conn, sql_run_progress, 2, params, NULL, &err))
		return;
	log_warn("%s; ignoring, the progress is not stored any more", err.msg);
	progress->conn = NULL;
}

void progress_at(struct progress *progress, int64_t done)
{
	int64_t now_ms = clock_ms();

	if (progress->terminal && now_ms - progress->drawn_ms >= PROGRESS_DRAW_MS) {
		progress_draw(progress, done, now_ms);
		progress->drawn_ms = now_ms;
	}
	if (!progress->terminal && now_ms - progress->logged_ms >= PROGRESS_LOG_MS) {
		progress_log(progress, done, now_ms);
		progress->logged_ms = now_ms;
	}
	if (progress->conn && now_ms - progress->stored_ms >= PROGRESS_STORE_MS) {
		progress_store(progress, done, now_ms);
		progress->stored_ms = now_ms;
	}
}

int64_t progress_end(struct progress *progress, int64_t done)
{
	int64_t now_ms = clock_ms();

	if (progress->terminal) {
		progress_draw(progress, done, now_ms);
		if (write(STDERR_FILENO, "\r\033[K", 4) < 0)
			progress->terminal = false;
	}
	log_info("%s: %" PRId64 " %s in %" PRId64 " ms", progress->phase, done, progress->unit,
		now_ms - progress->started_ms);
	return now_ms - progress->started_ms;
}
