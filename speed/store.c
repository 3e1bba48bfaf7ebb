#include "common/base.h"
#include "speed/store.h"

#include "common/clock.h"
#include "common/mem.h"

#include <poll.h>

int store_open(struct store *store, const char *uri, struct err *err)
{
	assert(!store->redis);
	return redis_open(uri, STORE_TIMEOUT_MS, &store->redis, err);
}

void store_close(struct store *store)
{
	redis_close(&store->redis);
	store->n_owed = store->n_flushes = 0;
}

void store_release(struct store *store)
{
	store_close(store);
	redis_command_release(&store->command);
	free(store->owed);
	*store = (struct store){ 0 };
}

int store_fd(const struct store *store)
{
	return store->redis ? store->redis->fd : -1;
}

static void store_grow(struct store *store)
{
	size_t capacity = store->owed_capacity ? store->owed_capacity * 2 : 64;
	struct store_owed *owed = xreallocarray(NULL, capacity, sizeof(*owed));

	for (size_t i = 0; i < store->n_owed; i++)
		owed[i] = store->owed[(store->owed_first + i) % store->owed_capacity];
	free(store->owed);
	store->owed = owed;
	store->owed_first = 0;
	store->owed_capacity = capacity;
}

void store_send(struct store *store, struct store_owed owed)
{
	size_t len;
	const char *bytes = redis_command_done(&store->command, &len);

	if (store->n_owed == store->owed_capacity)
		store_grow(store);
	if (store->n_owed == 0)
		store->waiting_ms = clock_ms();
	store->owed[(store->owed_first + store->n_owed++) % store->owed_capacity] = owed;
	store->n_flushes += owed.kind == STORE_FLUSH;
	if (redisAppendFormattedCommand(store->redis, bytes, len) != REDIS_OK)
		assert(store->redis->err); /* the next write fails with it */
}

int store_write(struct store *store, struct err *err)
{
	int done = 0;

	while (!done)
		if (store->redis->err || redisBufferWrite(store->redis, &done) != REDIS_OK) {
			redis_error(store->redis, NULL, err, "cannot write to redis");
			store_close(store);
			return -1;
		}
	return 0;
}

/* Hands on what has been read. A reply may be the cause that the store is closed. */
static int store_take(struct store *store, store_on_reply *on_reply, void *arg, struct err *err)
{
	while (store->redis && store->n_owed) {
		SCOPED(redis_reply_free) redisReply *reply = NULL;
		struct store_owed owed = store->owed[store->owed_first];
		void *next = NULL;

		if (redisGetReplyFromReader(store->redis, &next) != REDIS_OK) {
			redis_error(store->redis, NULL, err, "cannot read from redis");
			store_close(store);
			return -1;
		}
		if (!next)
			return 0;
		reply = next;
		store->owed_first = (store->owed_first + 1) % store->owed_capacity;
		store->n_owed--;
		store->n_flushes -= owed.kind == STORE_FLUSH;
		store->waiting_ms = clock_ms();
		on_reply(arg, &owed, reply);
	}
	return 0;
}

int store_read(struct store *store, int timeout_ms, store_on_reply *on_reply, void *arg, struct err *err)
{
	struct pollfd ready = { .fd = store->redis->fd, .events = POLLIN };

	if (poll(&ready, 1, timeout_ms) <= 0) {
		if (!store->n_owed || clock_ms() - store->waiting_ms < STORE_TIMEOUT_MS)
			return 0;
		store_close(store);
		return err_set(err, ERR_REDIS, "redis does not answer");
	}
	if (redisBufferRead(store->redis) != REDIS_OK) {
		redis_error(store->redis, NULL, err, "cannot read from redis");
		store_close(store);
		return -1;
	}
	return store_take(store, on_reply, arg, err);
}

int store_drain(struct store *store, store_on_reply *on_reply, void *arg, struct err *err)
{
	while (store->redis && store->n_owed)
		if (store_read(store, 100, on_reply, arg, err))
			return -1;
	return store->redis ? 0 : err_set(err, ERR_REDIS, "the connection to redis is closed");
}
