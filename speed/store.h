/* The worker's connection to Redis: commands go out in one write, replies are taken as they come, in order.
 *
 * Happy path: connect, store_send() ..., store_write(); store_read() when the socket is readable, which calls
 * back once per reply. Failure modes, all of which end in a closed store (the replies still owed never come;
 * whoever waits for one goes through the recovery path):
 * - Redis closes the connection or the network breaks: at the next read or write;
 * - Redis hangs: a write blocks for STORE_TIMEOUT_MS at most, replies that are overdue for that long close
 * the store;
 * - an error reply is a reply: the callback decides. One thread. */
#ifndef SPEED_STORE_H
#define SPEED_STORE_H

#include "common/redis.h"

enum { STORE_TIMEOUT_MS = 5000 };

enum store_kind { STORE_FLUSH, STORE_ADOPT, STORE_BEAT };

struct store_owed {
	enum store_kind kind;
	int partition;
	uint64_t life; /* of the partition when it was sent */
};

struct store {
	redisContext *redis; /* NULL: closed */
	struct store_owed *owed; /* a ring */
	size_t owed_first, n_owed, owed_capacity;
	size_t n_flushes; /* of those owed */
	int64_t waiting_ms; /* monotonic: since when the oldest reply is owed, or the last one came */
	struct redis_command command; /* to build the next command in */
};

typedef void store_on_reply(void *arg, const struct store_owed *owed, const redisReply *reply);

/* Connects, checks the server and loads the functions: blocks up to some STORE_TIMEOUT_MS. */
MUST_USE int store_open(struct store *store, const char *uri, struct err *err);
void store_close(struct store *store);
void store_release(struct store *store);

/* Queues store->command. */
void store_send(struct store *store, struct store_owed owed);
/* Writes what is queued. -1: the store is closed. */
MUST_USE int store_write(struct store *store, struct err *err);
/* Takes the replies that are there, waiting for the first one up to timeout_ms. -1: the store is closed. */
MUST_USE int store_read(
	struct store *store, int timeout_ms, store_on_reply *on_reply, void *arg, struct err *err);
/* Takes all replies that are owed. */
MUST_USE int store_drain(struct store *store, store_on_reply *on_reply, void *arg, struct err *err);

int store_fd(const struct store *store); /* -1: closed */

#endif
