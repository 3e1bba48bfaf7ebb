/* See published.h. Failure modes:
 * - Postgres refuses, is away, has no schema or one of another version: the error is kept for whoever asks;
 * connected anew with backoff up to 5 s. (A schema that is migrated while we are connected goes unnoticed:
 * what is asked here is still there.)
 * - Postgres hangs in a query: statement_timeout ends it there; where not even that arrives, the thread hangs
 * alone;
 * - the process ends meanwhile: the thread is left. */
#include "common/base.h"
#include "speed/published.h"

#include "common/clock.h"
#include "common/mem.h"
#include "speed/ticker.h"

enum { PUBLISHED_TIMEOUT_MS = 3000, PUBLISHED_BACKOFF_MAX_MS = 5000 };

struct published {
	const struct config *config;
	struct ticker ticker;
	pthread_mutex_t mutex; /* of the next four */
	struct pg_published *arrived; /* not yet taken */
	int64_t asked_ms; /* monotonic; 0: never */
	struct err err; /* why the last try failed */
	bool failed;
	struct pg_published *taken; /* of published_get()'s thread */
};

static void published_free(struct pg_published *answer)
{
	if (answer)
		pg_published_release(answer);
	free(answer);
}

/* Takes the answer; NULL: there is none, for *err. */
static void published_put(struct published *published, struct pg_published *answer, const struct err *err)
{
	struct pg_published *old = NULL;

	pthread_mutex_lock(&published->mutex);
	published->failed = !answer;
	if (answer) {
		old = published->arrived;
		published->arrived = answer;
		published->asked_ms = clock_ms();
	} else {
		published->err = *err;
	}
	pthread_mutex_unlock(&published->mutex);
	published_free(old);
}

static int published_connect(const struct config *config, PGconn **conn, struct err *err)
{
	if (*conn)
		return 0;
	if (pg_open(config->postgres, "lambda-speed", PUBLISHED_TIMEOUT_MS, conn, err) ||
		pg_exec(*conn, "SET statement_timeout = '3s'", 0, NULL, NULL, err))
		return -1;
	return pg_schema_check(*conn, err);
}

static void *published_run(void *arg)
{
	struct published *published = arg;
	PGconn *conn = NULL;
	int64_t wait_ms = 0;

	for (; !ticker_rest(&published->ticker, wait_ms);) {
		struct pg_published *answer = xcalloc(1, sizeof(*answer));
		struct err err = { 0 };

		if (published_connect(published->config, &conn, &err) == 0 &&
			pg_published_load(conn, answer, &err) == 0) {
			published_put(published, answer, &err);
			wait_ms = PUBLISHED_EVERY_MS;
			continue;
		}
		free(answer);
		published_put(published, NULL, &err);
		pg_close(&conn);
		wait_ms = wait_ms ? wait_ms * 2 : PUBLISHED_EVERY_MS;
		wait_ms = wait_ms < PUBLISHED_BACKOFF_MAX_MS ? wait_ms : PUBLISHED_BACKOFF_MAX_MS;
	}
	pg_close(&conn);
	return NULL;
}

struct published *published_start(const struct config *config)
{
	struct published *published = xcalloc(1, sizeof(*published));

	published->config = config;
	pthread_mutex_init(&published->mutex, NULL);
	ticker_start(&published->ticker, published_run, published);
	return published;
}

const struct pg_published *published_get(struct published *published, struct err *err)
{
	struct pg_published *old = NULL;
	bool fresh;

	pthread_mutex_lock(&published->mutex);
	if (published->arrived) {
		old = published->taken;
		published->taken = published->arrived;
		published->arrived = NULL;
	}
	fresh = published->asked_ms && clock_ms() - published->asked_ms < PUBLISHED_FRESH_MS;
	if (!fresh && published->failed)
		*err = published->err;
	else if (!fresh)
		err_set(err, ERR_DATABASE, "postgres has not answered yet");
	pthread_mutex_unlock(&published->mutex);
	published_free(old);
	return fresh ? published->taken : NULL;
}

bool published_stop(struct published *published)
{
	if (!published)
		return true;
	if (!ticker_stop(&published->ticker))
		return false;
	published_free(published->arrived);
	published_free(published->taken);
	pthread_mutex_destroy(&published->mutex);
	free(published);
	return true;
}
