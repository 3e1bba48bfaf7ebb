/* One partition's products of a day, read with its state at one moment (MULTI ... EXEC), in the form that
 * redis_read_reply() gives. By plain commands: a function of Redis would copy every field twice in Lua, which
 * keeps Redis from everything else five times as long. Pure: commands in, decoded replies out. One thread. */
#ifndef SERVING_PRODUCT_READ_H
#define SERVING_PRODUCT_READ_H

#include "common/redis_handover.h"
#include "serving/redis_link.h"
#include "serving/view.h"

/* What was asked for. Zeroed at start. */
struct product_read {
	int32_t day;
	size_t n_runs;
	int64_t *runs; /* owned */
};

/* Asks for the generations from `run` on that the partition has by our copy of it. The caller sends and
 * releases *transaction. */
void product_read_ask(struct product_read *read, const char *base, const struct speed_partition *partition,
	int64_t run, int32_t day, struct redis_link_transaction *transaction);
void product_read_release(struct product_read *read);

/* reply: of EXEC; its elements change their order, and *ret_view, which the caller releases, borrows from it.
 * *ret_other: there is a generation from `run` on that was not asked for; ask again once our copy knows it. A
 * chunk that is missing, or not as its index says, is ERR_DATA. */
MUST_USE int product_read_reply(const struct product_read *read, const redisReply *reply, int64_t run,
	struct redis_view *ret_view, bool *ret_other, struct err *err);

#endif
