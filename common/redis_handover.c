#include "common/base.h"
#include "common/redis_handover.h"

#include "embedded.h"

#include "common/mem.h"

#include <errno.h>

void redis_base(char base[REDIS_BASE_MAX], const char *name, const char *topic, int partition)
{
	int len = snprintf(base, REDIS_BASE_MAX, "%s:{%s/%d}", name, topic, partition);

	assert(len > 0 && len < REDIS_BASE_MAX); /* names are bounded by config and Kafka */
}

/* --- decoding texts ---------------------------------------------------------------------------- */

static bool redis_is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

static bool redis_is(const redisReply *reply, const char *text)
{
	return redis_is_text(reply) && strcmp(reply->str, text) == 0;
}

/* Digits with an optional minus, to the last byte. hiredis terminates its texts. */
static int redis_int_text(const char *text, int64_t *ret)
{
	char *end;
	long long n;

	if (!(*text == '-' || (*text >= '0' && *text <= '9')))
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (*end || end == text || errno)
		return -1;
	*ret = n;
	return 0;
}

static int redis_int(const redisReply *reply, int64_t *ret)
{
	return redis_is_text(reply) ? redis_int_text(reply->str, ret) : -1;
}

/* What Lua's numbers hold exactly: offsets, runs, versions and times. Differences of two never overflow. */
#define REDIS_NUMBER_MAX (INT64_C(1) << 53)

/* Such a number, to the first byte that is none of its own; *at moves there. */
static int redis_take_number(const char **at, int64_t *ret)
{
	const char *digits = *at + (**at == '-');
	size_t n = strspn(digits, "0123456789");

	if (n < 1 || n > 16)
		return -1;
	*ret = strtoll(*at, NULL, 10);
	*at = digits + n;
	return *ret < -REDIS_NUMBER_MAX || *ret > REDIS_NUMBER_MAX ? -1 : 0;
}

/* The same, with `mark` behind it, which is taken too. */
static int redis_take_marked(const char **at, char mark, int64_t *ret)
{
	return redis_take_number(at, ret) || *(*at)++ != mark ? -1 : 0;
}

static int redis_number(const redisReply *reply, int64_t *ret)
{
	const char *at = reply->str;

	return !redis_is_text(reply) || redis_take_number(&at, ret) || *at ? -1 : 0;
}

/* A time, "" is DATETIME_NONE */
static int redis_time(const redisReply *reply, int64_t *ret)
{
	if (redis_is(reply, "")) {
		*ret = DATETIME_NONE;
		return 0;
	}
	return redis_number(reply, ret);
}

static int redis_copy(const redisReply *reply, char *buf, size_t size)
{
	if (!redis_is_text(reply) || reply->len >= size)
		return -1;
	memcpy(buf, reply->str, reply->len + 1);
	return 0;
}

static int redis_tail(const redisReply *reply, struct tail *ret)
{
	if (!redis_is_text(reply))
		return -1;
	return tail_parse(reply->str, ret);
}

/* --- state ------------------------------------------------------------------------------------- */

static int redis_parse_generations(const char *text, struct redis_state *state)
{
	const char *at = text;

	while (*at) {
		struct generation g;

		if (redis_take_marked(&at, ',', &g.run) || redis_take_marked(&at, ',', &g.start) ||
			redis_take_number(&at, &g.next) || g.run < 0 || g.start < 0 || g.next < g.start)
			return -1;
		if (*at && *at++ != ' ')
			return -1;
		state->generations = xreallocarray(state->generations, state->n_generations + 1, sizeof(g));
		state->generations[state->n_generations++] = g;
	}
	return state->n_generations ? 0 : -1;
}

static int redis_parse_lost(const char *text, struct redis_state *state)
{
	const char *at = text;

	while (*at) {
		struct redis_lost lost;

		if (redis_take_marked(&at, ':', &lost.run) || redis_take_marked(&at, '-', &lost.from) ||
			redis_take_number(&at, &lost.to))
			return -1;
		if (*at && *at++ != ' ')
			return -1;
		state->lost = xreallocarray(state->lost, state->n_lost + 1, sizeof(lost));
		state->lost[state->n_lost++] = lost;
	}
	return 0;
}

static int redis_state_field(struct redis_state *state, const redisReply *field, const redisReply *value)
{
	if (!redis_is_text(field) || !redis_is_text(value))
		return -1;
	if (redis_is(field, "gens"))
		return redis_parse_generations(value->str, state);
	if (redis_is(field, "seen"))
		return redis_number(value, &state->seen);
	if (redis_is(field, "born"))
		return redis_number(value, &state->born);
	if (redis_is(field, "fold"))
		return redis_copy(value, state->fold, sizeof(state->fold));
	if (redis_is(field, "log"))
		return redis_copy(value, state->log, sizeof(state->log));
	if (redis_is(field, "latest_event"))
		return redis_time(value, &state->latest.latest_event_ms);
	if (redis_is(field, "latest_record"))
		return redis_time(value, &state->latest.latest_record_ms);
	if (redis_is(field, "tail"))
		return redis_tail(value, &state->tail);
	if (redis_is(field, "lost"))
		return redis_parse_lost(value->str, state);
	if (redis_is(field, "writing"))
		state->broken = true;
	return 0; /* covered and cut:RUN are for the functions alone */
}

/* n elements: field, value ... On failure *ret_state holds nothing. */
static int redis_decode_state(redisReply **elements, size_t n, struct redis_state *ret_state)
{
	struct redis_state state = { .latest = FOLD_STATE_NONE };

	*ret_state = (struct redis_state){ 0 };
	if (n == 0)
		return 0;
	tail_init(&state.tail);
	state.present = true;
	for (size_t i = 0; i + 1 < n; i += 2)
		if (redis_state_field(&state, elements[i], elements[i + 1]))
			goto wrong;
	if (n % 2)
		goto wrong;
	if (state.n_generations == 0)
		state.broken = true;
	*ret_state = state;
	return 0;
wrong:
	redis_state_release(&state);
	return -1;
}

void redis_state_release(struct redis_state *state)
{
	free(state->generations);
	free(state->lost);
	*state = (struct redis_state){ 0 };
}

const struct generation *redis_state_open(const struct redis_state *state)
{
	assert(state->n_generations > 0);
	return &state->generations[state->n_generations - 1];
}

const struct generation *redis_state_run(const struct redis_state *state, int64_t run)
{
	for (size_t i = 0; i < state->n_generations; i++)
		if (state->generations[i].run == run)
			return &state->generations[i];
	return NULL;
}

/* --- commands ---------------------------------------------------------------------------------- */

static void redis_function(
	struct redis_command *command, const char *how, const char *function, const char *base)
{
	redis_command_start(command);
	redis_command_text(command, how);
	redis_command_text(command, function);
	redis_command_text(command, "1");
	redis_command_text(command, base);
}

static void redis_add_time(struct redis_command *command, int64_t ms)
{
	if (ms == DATETIME_NONE)
		redis_command_text(command, "");
	else
		redis_command_int(command, ms);
}

static void redis_add_latest(struct redis_command *command, const struct fold_state *latest)
{
	redis_add_time(command, latest->latest_event_ms);
	redis_add_time(command, latest->latest_record_ms);
}

static void redis_add_tail(struct redis_command *command, const struct tail *tail)
{
	char text[TAIL_TEXT_MAX];

	tail_format(tail, text);
	redis_command_text(command, text);
}

void redis_flush_start(
	struct redis_command *command, const char *base, const struct redis_flush *flush, size_t n_chunks)
{
	redis_function(command, "FCALL", "lambda_1_flush", base);
	redis_command_int(command, flush->expected_next);
	redis_command_int(command, flush->new_next);
	redis_command_text(command, ""); /* whichever generation is open: a seal in between changes nothing */
	redis_command_text(command, flush->fold);
	redis_add_latest(command, &flush->latest);
	redis_add_tail(command, flush->tail);
	if (flush->lost_from < flush->lost_to)
		redis_command_format(command, "%" PRId64 "-%" PRId64, flush->lost_from, flush->lost_to);
	else
		redis_command_text(command, "");
	redis_command_int(command, (int64_t)n_chunks);
}

void redis_flush_chunk(struct redis_command *command, char kind, int64_t number, size_t n_fields)
{
	if (kind == 'c')
		redis_command_text(command, "c");
	else
		redis_command_format(command, "%c:%" PRId64, kind, number);
	redis_command_int(command, (int64_t)n_fields);
}

void redis_flush_field(struct redis_command *command, const char *field, size_t len, int64_t delta)
{
	redis_command_bytes(command, field, len);
	redis_command_int(command, delta);
}

void redis_flush_text(
	struct redis_command *command, const char *field, size_t len, const char *text, size_t text_len)
{
	redis_command_bytes(command, field, len);
	redis_command_bytes(command, text, text_len);
}

void redis_seal_command(struct redis_command *command, const char *base, int64_t run)
{
	redis_function(command, "FCALL", "lambda_1_seal", base);
	redis_command_int(command, run);
}

void redis_adopt_command(struct redis_command *command, const char *base, const struct redis_adopt *adopt)
{
	redis_function(command, "FCALL", "lambda_1_adopt", base);
	redis_command_int(command, adopt->publication);
	redis_command_int(command, adopt->run);
	redis_command_int(command, adopt->cut);
	redis_command_text(command, adopt->fold);
	redis_add_latest(command, &adopt->latest);
	redis_command_text(command, adopt->log);
	redis_add_tail(command, adopt->tail);
	redis_command_int(command, adopt->keep_ms);
	redis_command_text(command, adopt->force ? "1" : "0");
}

void redis_beat_command(struct redis_command *command, const char *base, const struct redis_beat *beat, int i)
{
	redis_command_start(command);
	redis_command_text(command, i == 0 ? "HSET" : "PEXPIRE");
	redis_command_format(command, "%s:beat", base);
	if (i == 1) {
		redis_command_text(command, "60000");
		return;
	}
	redis_command_text(command, "time");
	redis_command_int(command, beat->time_ms);
	redis_command_text(command, "end");
	redis_command_int(command, beat->end);
	redis_command_text(command, "next");
	redis_command_int(command, beat->next);
	redis_command_text(command, "waiting");
	redis_add_time(command, beat->waiting_ms);
	redis_command_text(command, "record");
	redis_add_time(command, beat->record_ms);
	redis_command_text(command, "held");
	redis_command_int(command, beat->held);
	redis_command_text(command, "held_since");
	redis_add_time(command, beat->held_ms);
	redis_command_text(command, "worker");
	redis_command_text(command, beat->worker);
}

void redis_read_command(struct redis_command *command, const char *base, const char *kind, int64_t limit,
	const struct redis_since *since, size_t n_since)
{
	redis_function(command, "FCALL_RO", "lambda_1_read", base);
	redis_command_text(command, kind);
	redis_command_int(command, limit);
	for (size_t i = 0; i < n_since; i++) {
		redis_command_int(command, since[i].run);
		redis_command_int(command, since[i].version);
	}
}

void redis_customer_command(struct redis_command *command, const char *base, struct text customer,
	int64_t from_hour, int64_t to_hour, int64_t run)
{
	redis_function(command, "FCALL_RO", "lambda_1_customer", base);
	redis_command_bytes(command, customer.at, customer.len);
	redis_command_int(command, from_hour);
	redis_command_int(command, to_hour);
	redis_command_int(command, run);
}

/* --- replies ----------------------------------------------------------------------------------- */

static bool redis_is_array(const redisReply *reply, size_t at_least)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements >= at_least;
}

int redis_flush_reply(const redisReply *reply, struct redis_flush_reply *ret, struct err *err)
{
	struct redis_flush_reply out = { 0 };

	if (!redis_is_array(reply, 1))
		return redis_error(NULL, reply, err, "cannot flush");
	out.ok = redis_is(reply->element[0], "ok");
	out.foreign = out.ok && !(reply->elements == 2 && redis_is(reply->element[1], HANDOVER_CODE));
	if (!out.ok &&
		(reply->elements < 2 || redis_copy(reply->element[1], out.reason, sizeof(out.reason)) ||
			redis_decode_state(reply->element + 2, reply->elements - 2, &out.state)))
		return redis_error(NULL, reply, err, "cannot flush");
	*ret = out;
	return 0;
}

int redis_seal_reply(const redisReply *reply, struct redis_seal_reply *ret, struct err *err)
{
	struct redis_seal_reply out = { 0 };

	if (!redis_is_array(reply, 2))
		return redis_error(NULL, reply, err, "cannot seal");
	out.ok = redis_is(reply->element[0], "ok");
	if (!out.ok) {
		if (redis_copy(reply->element[1], out.reason, sizeof(out.reason)))
			return redis_error(NULL, reply, err, "cannot seal");
	} else if (reply->elements != 7 || redis_number(reply->element[1], &out.cut) ||
		   redis_copy(reply->element[2], out.fold, sizeof(out.fold)) ||
		   redis_time(reply->element[3], &out.latest.latest_event_ms) ||
		   redis_time(reply->element[4], &out.latest.latest_record_ms) ||
		   redis_copy(reply->element[5], out.log, sizeof(out.log)) ||
		   redis_tail(reply->element[6], &out.tail)) {
		return redis_error(NULL, reply, err, "cannot seal");
	}
	*ret = out;
	return 0;
}

int redis_adopt_reply(const redisReply *reply, struct redis_adopt_reply *ret, struct err *err)
{
	struct redis_adopt_reply out = { 0 };

	if (!redis_is_array(reply, 2) || !redis_is(reply->element[0], "ok") ||
		redis_copy(reply->element[1], out.what, sizeof(out.what)) ||
		redis_decode_state(reply->element + 2, reply->elements - 2, &out.state))
		return redis_error(NULL, reply, err, "cannot adopt");
	*ret = out;
	return 0;
}

static int redis_decode_beat(const redisReply *reply, struct redis_beat *ret)
{
	struct redis_beat out = {
		.waiting_ms = DATETIME_NONE, .record_ms = DATETIME_NONE, .held_ms = DATETIME_NONE
	};

	if (!redis_is_array(reply, 0) || reply->elements % 2)
		return -1;
	for (size_t i = 0; i < reply->elements; i += 2) {
		const redisReply *field = reply->element[i], *value = reply->element[i + 1];
		int64_t *number = redis_is(field, "time")         ? &out.time_ms
				  : redis_is(field, "end")        ? &out.end
				  : redis_is(field, "next")       ? &out.next
				  : redis_is(field, "waiting")    ? &out.waiting_ms
				  : redis_is(field, "record")     ? &out.record_ms
				  : redis_is(field, "held")       ? &out.held
				  : redis_is(field, "held_since") ? &out.held_ms
								  : NULL;

		if (number && redis_time(value, number))
			return -1;
		if (redis_is(field, "worker") && redis_copy(value, out.worker, sizeof(out.worker)))
			return -1;
		out.present = true;
	}
	*ret = out;
	return 0;
}

static int redis_decode_chunk(const redisReply *reply, struct redis_chunk *ret)
{
	struct redis_chunk out = { 0 };
	const redisReply *values;
	const char *name;

	if (!redis_is_array(reply, 3) || !redis_is_text(reply->element[0]) ||
		redis_number(reply->element[1], &out.version))
		return -1;
	name = reply->element[0]->str;
	values = reply->element[2];
	if (!redis_is_array(values, 0) || values->elements % 2)
		return -1;
	out.kind = name[0];
	if (!memchr("rpdoc", out.kind, 5) ||
		(out.kind == 'c' ? name[1] != 0 : name[1] != ':' || redis_int_text(name + 2, &out.number)))
		return -1;
	out.n_fields = values->elements / 2;
	out.fields = values->element;
	*ret = out;
	return 0;
}

static int redis_decode_generation(const redisReply *reply, struct redis_generation_view *g)
{
	if (!redis_is_array(reply, 3) || redis_number(reply->element[0], &g->run) ||
		redis_number(reply->element[2], &g->upto))
		return -1;
	g->complete = redis_is(reply->element[1], "1");
	g->chunks = xcalloc(reply->elements - 3, sizeof(*g->chunks));
	for (size_t i = 3; i < reply->elements; i++)
		if (redis_decode_chunk(reply->element[i], &g->chunks[g->n_chunks++]))
			return -1;
	return 0;
}

int redis_read_reply(const redisReply *reply, struct redis_view *ret_view, struct err *err)
{
	struct redis_view view = { 0 };

	if (!redis_is_array(reply, 2) || !redis_is_array(reply->element[0], 0) ||
		redis_decode_state(reply->element[0]->element, reply->element[0]->elements, &view.state) ||
		redis_decode_beat(reply->element[1], &view.beat))
		goto wrong;
	view.generations = xcalloc(reply->elements - 2, sizeof(*view.generations));
	for (size_t i = 2; i < reply->elements; i++)
		if (redis_decode_generation(reply->element[i], &view.generations[view.n_generations++]))
			goto wrong;
	*ret_view = view;
	return 0;
wrong:
	redis_view_release(&view);
	return redis_error(NULL, reply, err, "cannot read the speed view");
}

void redis_view_release(struct redis_view *view)
{
	for (size_t i = 0; i < view->n_generations; i++)
		free(view->generations[i].chunks);
	free(view->generations);
	redis_state_release(&view->state);
	*view = (struct redis_view){ 0 };
}

/* --- values ------------------------------------------------------------------------------------ */

int redis_chunk_field(const struct redis_chunk *chunk, size_t i, struct text *ret_field, int64_t *ret_value)
{
	const redisReply *field = chunk->fields[2 * i], *value = chunk->fields[2 * i + 1];

	if (!redis_is_text(field) || redis_int(value, ret_value) || *ret_value == INT64_MIN)
		return -1;
	*ret_field = (struct text){ field->str, field->len };
	return 0;
}

/* --- blocking calls ---------------------------------------------------------------------------- */

int redis_seal(
	redisContext *redis, const char *base, int64_t run, struct redis_seal_reply *ret, struct err *err)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	SCOPED(redis_reply_free) redisReply *reply = NULL;

	redis_seal_command(&command, base, run);
	return redis_call(redis, &command, &reply, err) ? -1 : redis_seal_reply(reply, ret, err);
}

int redis_adopt(redisContext *redis, const char *base, const struct redis_adopt *adopt,
	struct redis_adopt_reply *ret, struct err *err)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	SCOPED(redis_reply_free) redisReply *reply = NULL;

	redis_adopt_command(&command, base, adopt);
	return redis_call(redis, &command, &reply, err) ? -1 : redis_adopt_reply(reply, ret, err);
}

int redis_drop(redisContext *redis, const char *base, struct err *err)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	SCOPED(redis_reply_free) redisReply *reply = NULL;

	redis_function(&command, "FCALL", "lambda_1_drop", base);
	if (redis_call(redis, &command, &reply, err))
		return -1;
	return reply->type == REDIS_REPLY_ERROR ? redis_error(redis, reply, err, "lambda_1_drop") : 0;
}

int redis_read(redisContext *redis, const char *base, const char *kind, int64_t limit,
	const struct redis_since *since, size_t n_since, struct redis_view *ret_view, redisReply **ret_reply,
	struct err *err)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	redisReply *reply;

	redis_read_command(&command, base, kind, limit, since, n_since);
	if (redis_call(redis, &command, &reply, err))
		return -1;
	if (redis_read_reply(reply, ret_view, err)) {
		redis_reply_free(&reply);
		return -1;
	}
	*ret_reply = reply;
	return 0;
}
