/* The commands and replies of the functions in common/handover.lua (docs/redis.md), as plain structs.
 * Building and decoding are apart from sending, so that they serve blocking and asynchronous connections
 * alike. No I/O but in the last part.
 *
 * Decoders take a reply that the caller keeps and frees. What they fill is the caller's to release; texts in
 * it that are marked borrowed point into the reply. A reply of another form, and an error reply, is an error
 * (see redis_error()). */
#ifndef COMMON_REDIS_HANDOVER_H
#define COMMON_REDIS_HANDOVER_H

#include "common/kernel/fold.h"
#include "common/kernel/handover.h"
#include "common/redis.h"
#include "common/tail.h"

enum { REDIS_BASE_MAX = 600 };
/* "NAME:{TOPIC/PARTITION}" */
void redis_base(char base[REDIS_BASE_MAX], const char *name, const char *topic, int partition);

/* --- state ------------------------------------------------------------------------------------- */

struct redis_lost {
	int64_t run, from, to; /* offsets [from, to) were gone before they were read */
};

/* BASE:state */
struct redis_state {
	bool present; /* false: nothing else is set */
	bool broken; /* a write broke off */
	int64_t seen, born;
	char fold[FOLD_VERSION_MAX];
	char log[256];
	struct fold_state latest; /* at the open generation's next */
	struct tail tail;
	struct generation *generations; /* owned; oldest first, at least one when present and not broken */
	size_t n_generations;
	struct redis_lost *lost; /* owned */
	size_t n_lost;
};

void redis_state_release(struct redis_state *state);
/* The generation that a flush adds to; the state must be present and not broken. */
const struct generation *redis_state_open(const struct redis_state *state);
/* The generation of that run, or NULL. */
const struct generation *redis_state_run(const struct redis_state *state, int64_t run);

/* BASE:beat */
struct redis_beat {
	bool present;
	int64_t time_ms; /* the worker's clock */
	int64_t end, next; /* log end that it knows; its position: everything below is in the state */
	int64_t waiting_ms; /* record timestamp of the oldest record that is not in the state yet, or
			       DATETIME_NONE */
	int64_t record_ms; /* wall clock of the last record's arrival, or DATETIME_NONE */
	int64_t held; /* offsets behind the log's end that an open transaction holds back */
	int64_t held_ms; /* wall clock at which that was first seen, or DATETIME_NONE */
	char worker[128];
};

/* --- flush ------------------------------------------------------------------------------------- */

struct redis_flush {
	int64_t expected_next, new_next;
	const char *fold;
	struct fold_state latest; /* at new_next */
	const struct tail *tail;
	int64_t lost_from, lost_to; /* equal: nothing lost */
};

/* redis_flush_start(), then n_chunks times: redis_flush_chunk() and n_fields fields. */
void redis_flush_start(
	struct redis_command *command, const char *base, const struct redis_flush *flush, size_t n_chunks);
void redis_flush_chunk(struct redis_command *command, char kind, int64_t number, size_t n_fields);
void redis_flush_field(struct redis_command *command, const char *field, size_t len, int64_t delta);
void redis_flush_text(/* a field of a chunk of customers */
	struct redis_command *command, const char *field, size_t len, const char *text, size_t text_len);

struct redis_flush_reply {
	bool ok;
	bool foreign; /* ok, but said by other functions than ours, under the same name: nothing is known of
			 what they have written */
	char reason[16]; /* when refused: empty, broken, run, next, fold */
	struct redis_state state; /* when refused */
};
MUST_USE int redis_flush_reply(const redisReply *reply, struct redis_flush_reply *ret, struct err *err);

/* --- seal, adopt, heartbeat -------------------------------------------------------------------- */

void redis_seal_command(struct redis_command *command, const char *base, int64_t run);

struct redis_seal_reply {
	bool ok;
	char reason[16]; /* when refused: superseded, empty, broken */
	int64_t cut; /* the rest is as it was there */
	char fold[FOLD_VERSION_MAX];
	char log[256];
	struct fold_state latest;
	struct tail tail;
};
MUST_USE int redis_seal_reply(const redisReply *reply, struct redis_seal_reply *ret, struct err *err);

struct redis_adopt {
	int64_t publication, run, cut;
	const char *fold; /* of the generation that this may open */
	struct fold_state latest; /* at the cut */
	const char *log;
	const struct tail *tail; /* of the cut */
	int64_t keep_ms;
	bool force;
};
void redis_adopt_command(struct redis_command *command, const char *base, const struct redis_adopt *adopt);

struct redis_adopt_reply {
	char what[16]; /* same, skipped, restarted, stale, other_log */
	struct redis_state state;
};
MUST_USE int redis_adopt_reply(const redisReply *reply, struct redis_adopt_reply *ret, struct err *err);

/* Two commands: call with i = 0 and 1. Each has a reply that only matters when it is an error. */
void redis_beat_command(
	struct redis_command *command, const char *base, const struct redis_beat *beat, int i);

/* --- read -------------------------------------------------------------------------------------- */

struct redis_since {
	int64_t run, version;
};

/* kind: "r" or "p:DAY". {0, 0} asks for everything, no pair for the state only. */
void redis_read_command(struct redis_command *command, const char *base, const char *kind, int64_t limit,
	const struct redis_since *since, size_t n_since);

/* What a customer did in the hours [from_hour, to_hour], both since 1970, in the generations from `run` on.
 * The reply is one for redis_read_reply(); its chunks are of kind o, with fields as in those of kind r. */
void redis_customer_command(struct redis_command *command, const char *base, struct text customer,
	int64_t from_hour, int64_t to_hour, int64_t run);

struct redis_chunk {
	char kind; /* r, p, c, d, o */
	int64_t number; /* hour or day; 0 for c */
	int64_t version;
	size_t n_fields;
	redisReply **fields; /* borrowed: redis_chunk_field() */
};

struct redis_generation_view {
	int64_t run;
	bool complete;
	int64_t upto;
	struct redis_chunk *chunks; /* owned */
	size_t n_chunks;
};

struct redis_view {
	struct redis_state state;
	struct redis_beat beat;
	struct redis_generation_view *generations; /* owned */
	size_t n_generations;
};

MUST_USE int redis_read_reply(const redisReply *reply, struct redis_view *ret_view, struct err *err);
void redis_view_release(struct redis_view *view);

/* The i-th field (i < n_fields), borrowed from the reply, and its value; -1 when the value is no number that
 * can be negated. */
MUST_USE int redis_chunk_field(
	const struct redis_chunk *chunk, size_t i, struct text *ret_field, int64_t *ret_value);

/* --- blocking calls, for batch ----------------------------------------------------------------- */

MUST_USE int redis_seal(
	redisContext *redis, const char *base, int64_t run, struct redis_seal_reply *ret, struct err *err);
MUST_USE int redis_adopt(redisContext *redis, const char *base, const struct redis_adopt *adopt,
	struct redis_adopt_reply *ret, struct err *err);
/* Removes everything of the partition. */
MUST_USE int redis_drop(redisContext *redis, const char *base, struct err *err);
/* One reading. *ret_view borrows from *ret_reply: release the view first, then the reply. */
MUST_USE int redis_read(redisContext *redis, const char *base, const char *kind, int64_t limit,
	const struct redis_since *since, size_t n_since, struct redis_view *ret_view, redisReply **ret_reply,
	struct err *err);

#endif
