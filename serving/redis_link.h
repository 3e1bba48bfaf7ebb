/* One asynchronous connection to Redis that keeps itself up. hiredis formats and decodes; sockets, name
 * resolution and deadlines are libuv's, for hiredis' own adapter reports neither a refused connection nor a
 * time-out.
 *
 * Happy path: resolve, connect, AUTH and SELECT where needed, then commands, answered in order.
 * What can fail: any of these, or a reply that is late or malformed. Then all calls under way end with an
 * error, the connection is closed and opened again after a pause (100 ms, doubling up to 2 s). The first
 * failure after a time of health is logged, and the recovery. One thread: the loop's. */
#ifndef SERVING_REDIS_LINK_H
#define SERVING_REDIS_LINK_H

#include <uv.h>

#include "common/redis.h"

enum { REDIS_LINK_TIMEOUT_MS = 2000 };

/* A command under way; embedded in the caller's object, which lives until `done` was called: exactly once,
 * later than redis_link_send(). reply is borrowed; NULL with *err when there is none. An error reply of Redis
 * is a reply. */
struct redis_link_call {
	void (*done)(struct redis_link_call *call, const redisReply *reply, const struct err *err);
	struct redis_link_call *next;
	unsigned n_before; /* replies that come before the one that matters */
	uint64_t deadline_ms;
};

/* Commands that Redis runs with nobody's in between (MULTI ... EXEC). Zeroed at start. */
struct redis_link_transaction {
	char *bytes; /* owned */
	size_t len;
	unsigned n;
};

void redis_link_add(struct redis_link_transaction *transaction, struct redis_command *command);
void redis_link_transaction_release(struct redis_link_transaction *transaction);

struct redis_link;

/* Begins to connect. uri is copied. ERR_USAGE for a malformed one. */
MUST_USE int redis_link_open(uv_loop_t *loop, const char *uri, struct redis_link **ret_link, struct err *err);
/* Calls under way end with ERR_STOPPED before this returns; the link frees itself when its handles are
 * closed. */
void redis_link_close(struct redis_link *link);

/* -1: not connected, nothing will be called. */
MUST_USE int redis_link_send(struct redis_link *link, struct redis_command *command,
	struct redis_link_call *call, struct err *err);
/* The same; the reply is that of EXEC: an error if Redis refused one of the commands. */
MUST_USE int redis_link_send_all(struct redis_link *link, struct redis_link_transaction *transaction,
	struct redis_link_call *call, struct err *err);
bool redis_link_is_up(const struct redis_link *link);
/* An attempt to connect has failed since the connection was last up, or ever. */
bool redis_link_is_away(const struct redis_link *link);

#endif
