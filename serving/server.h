/* The listening socket, its connections, and their limit. Several processes may listen on one port
 * (SO_REUSEPORT).
 *
 * Stopping: the listener closes, idle connections close, requests under way are answered with "Connection:
 * close", and after SERVER_DRAIN_MS whatever is left is cut off. One thread: the loop's. */
#ifndef SERVING_SERVER_H
#define SERVING_SERVER_H

#include <sys/queue.h>
#include <uv.h>

#include "serving/auth.h"
#include "serving/costly.h"
#include "serving/metrics.h"

enum { SERVER_DRAIN_MS = 4500, SERVER_BACKLOG = 1024, SERVER_OTHER_FILES = 32 };

struct session;
TAILQ_HEAD(session_list, session);

struct server {
	uv_loop_t *loop;
	const struct config *config; /* borrowed */
	struct live *live; /* borrowed */
	struct costly costly;
	struct auth auth;
	struct metrics metrics;
	size_t connections_max; /* as set, or as many as the system lets us open */
	uv_tcp_t listener;
	uv_timer_t drain;
	bool listening, draining;
	struct session_list idle; /* between two requests, longest first */
	struct session_list busy;
	int64_t complained_ms; /* the last time that accepting failed and was logged */
	char date[40]; /* of date_s, for the Date field */
	int64_t date_s;
};

/* ERR_USAGE when the address is none, or the file of tokens is not as it should be; ERR_OS when it cannot be
 * listened on. */
MUST_USE int server_open(struct server *server, uv_loop_t *loop, const struct config *config,
	struct live *live, struct products *products, struct customers *customers, struct rows *rows,
	struct runs *runs, struct err *err);
/* Begins to drain; half-open is fine. */
void server_stop(struct server *server);
/* Has the last request been answered, or cut off? Then server_close(). */
bool server_is_drained(const struct server *server);
void server_close(struct server *server);
/* Text of the Date field for now. */
const char *server_date(struct server *server);

#endif
