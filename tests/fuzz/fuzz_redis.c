/* What is read back from Redis: replies, one behind the other with a form feed between them. A reply is a
 * letter for the function that it answers (f flush, s seal, a adopt, else read), then elements with '|'
 * between them:
 * '[' opens an array, ']' closes it, '!' begins an error, ':' a number, '~' is nil, '\' takes the next byte
 * as it is, all else is text. What must hold:
 * - decoding again gives the same; what is decoded is within its limits; a refusal has a code and a message
 * - the copy of the speed view is exact only if its sums say so; the same reply once more changes no sum; a
 *   reply that it refuses leaves it empty
 * - a picture can be made of whatever the copy says is exact */
#include "common/base.h"
#include "common/kernel/calendar.h"
#include "common/mem.h"
#include "common/zone.h"
#include "serving/merge.h"
#include "serving/speedcopy.h"
#include "tests/fuzz/fuzz.h"

enum { DEPTH_MAX = 6, REPLIES_MAX = 8 };

/* --- replies as hiredis makes them ------------------------------------------------------------- */

static redisReply *build_value(struct text *rest)
{
	redisReply *reply = xcalloc(1, sizeof(*reply));
	char kind = rest->len ? *rest->at : 0;
	char *str = xmalloc(rest->len + 1);
	size_t at = kind == '!' || kind == ':' || kind == '~';

	for (; at < rest->len && !memchr("|]", rest->at[at], 2); at++) {
		at += rest->at[at] == '\\' && at + 1 < rest->len;
		str[reply->len++] = rest->at[at];
	}
	str[reply->len] = 0;
	*rest = (struct text){ rest->at + at, rest->len - at };
	reply->str = fuzz_copy(str, reply->len + 1);
	reply->type = kind == '!' ? REDIS_REPLY_ERROR : REDIS_REPLY_STRING;
	if (kind == ':' || kind == '~') {
		reply->type = kind == ':' ? REDIS_REPLY_INTEGER : REDIS_REPLY_NIL;
		reply->integer = strtoll(reply->str, NULL, 10);
		free(reply->str);
		reply->str = NULL;
		reply->len = 0;
	}
	free(str);
	return reply;
}

static redisReply *build_reply(struct text *rest, int depth)
{
	redisReply *reply;

	if (!rest->len || *rest->at != '[' || depth == DEPTH_MAX)
		return build_value(rest);
	reply = xcalloc(1, sizeof(*reply));
	reply->type = REDIS_REPLY_ARRAY;
	rest->at++, rest->len--;
	while (rest->len && *rest->at != ']') {
		reply->element = xreallocarray(reply->element, reply->elements + 1, sizeof(redisReply *));
		reply->element[reply->elements++] = build_reply(rest, depth + 1);
		if (rest->len && *rest->at == '|')
			rest->at++, rest->len--;
	}
	if (rest->len)
		rest->at++, rest->len--;
	return reply;
}

static void free_reply(redisReply *reply)
{
	for (size_t i = 0; i < reply->elements; i++)
		free_reply(reply->element[i]);
	free(reply->element);
	free(reply->str);
	free(reply);
}

/* --- decoders ---------------------------------------------------------------------------------- */

static void check_error(int result, const struct err *err)
{
	assert(result == 0 || result == -1);
	if (result)
		assert(err->code && *err->msg);
}

static void check_tail(const struct tail *tail)
{
	char text[TAIL_TEXT_MAX];
	struct tail again;

	tail_format(tail, text);
	assert(!tail_parse(text, &again) && again.offset == tail->offset);
	assert(tail->offset < 0 || again.hash == tail->hash);
}

static void check_state(const struct redis_state *state)
{
	if (!state->present)
		return;
	assert(state->broken || state->n_generations > 0);
	assert(memchr(state->fold, 0, sizeof(state->fold)) && memchr(state->log, 0, sizeof(state->log)));
	check_tail(&state->tail);
	for (size_t i = 0; i < state->n_generations; i++)
		assert(redis_state_run(state, state->generations[i].run));
	if (state->n_generations)
		assert(redis_state_open(state) == &state->generations[state->n_generations - 1]);
}

static void decode_flush(const redisReply *reply)
{
	struct redis_flush_reply out, again;
	struct err err = { 0 };
	int result = redis_flush_reply(reply, &out, &err);

	check_error(result, &err);
	assert(redis_flush_reply(reply, &again, &err) == result);
	if (result)
		return;
	assert(out.ok == again.ok && !strcmp(out.reason, again.reason));
	check_state(&out.state);
	redis_state_release(&out.state);
	redis_state_release(&again.state);
}

static void decode_seal(const redisReply *reply)
{
	struct redis_seal_reply out, again;
	struct err err = { 0 };
	int result = redis_seal_reply(reply, &out, &err);

	check_error(result, &err);
	assert(redis_seal_reply(reply, &again, &err) == result);
	if (result)
		return;
	assert(out.ok == again.ok && out.cut == again.cut && !strcmp(out.reason, again.reason));
	if (out.ok)
		check_tail(&out.tail);
}

static void decode_adopt(const redisReply *reply)
{
	struct redis_adopt_reply out, again;
	struct err err = { 0 };
	int result = redis_adopt_reply(reply, &out, &err);

	check_error(result, &err);
	assert(redis_adopt_reply(reply, &again, &err) == result);
	if (result)
		return;
	assert(!strcmp(out.what, again.what));
	check_state(&out.state);
	redis_state_release(&out.state);
	redis_state_release(&again.state);
}

/* --- the copy ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
}

/* A number that is the same for the same sums, in whatever order they came. */
static uint64_t sums_of(const struct speedcopy *copy)
{
	uint64_t all = copy->view.n_gens;

	for (size_t g = 0; g < copy->view.n_gens; g++) {
		const struct speed_generation *gen = &copy->view.gens[g];
		uint64_t sum = mix((uint64_t)gen->range.run, (uint64_t)gen->range.next);

		for (size_t i = 0; i < gen->days.n; i++) {
			const struct view_day *day = table_at(&gen->days, i);
			uint64_t one = mix((uint64_t)day->key.day, (uint64_t)day->key.currency);

			one = mix(
				mix(one, (uint64_t)day->revenue.gross_e4), (uint64_t)day->revenue.refunds_e4);
			one = mix(
				mix(one, (uint64_t)day->revenue.orders), (uint64_t)day->revenue.refund_count);
			sum += mix(one, (uint64_t)day->revenue.units);
		}
		for (size_t i = 0; i < gen->duplicates.n; i++) {
			const struct view_duplicates *duplicates = table_at(&gen->duplicates, i);

			sum += mix((uint64_t)duplicates->day, (uint64_t)duplicates->n);
		}
		for (size_t i = 0; i < gen->late.n; i++) {
			const struct late_day *late = table_at(&gen->late, i);

			sum += mix(mix((uint64_t)late->key.day, (uint64_t)late->key.currency),
				mix((uint64_t)late->events,
					mix((uint64_t)late->net_e4, (uint64_t)late->worst_ms)));
		}
		all = mix(all, sum + (uint64_t)gen->rejected);
	}
	return all;
}

static void check_exact(const struct speedcopy *copy)
{
	struct batch_view *batch = batch_view_new();
	struct view_cut cut = { 0, DATETIME_NONE };
	struct picture *picture;

	for (size_t g = 0; g < copy->view.n_gens; g++) {
		const struct speed_generation *gen = &copy->view.gens[g];
		int64_t counted = 0;

		assert(copy->gens[g].complete);
		for (size_t i = 0; i < gen->days.n; i++) {
			const struct view_day *day = table_at(&gen->days, i);

			counted += day->revenue.orders + day->revenue.refund_count;
		}
		assert(counted == copy->gens[g].counters.counted);
	}
	if (copy->view.n_gens) { /* one that joins */
		batch->publication = 1;
		batch->run = copy->view.gens[0].range.run;
		cut.next = copy->view.gens[0].range.start;
	}
	batch->cuts = xcalloc(1, sizeof(cut));
	batch->cuts[0] = cut;
	batch->n_cuts = 1;
	picture = merge_picture(&batch, 1, &copy->view, 1, true, 0);
	picture_unref(picture);
	batch_view_unref(batch);
}

/* Does the reply name no generation twice, and none that is further than it is? Then once more is the same.
 */
static bool is_sound(const struct redis_view *view)
{
	const struct redis_state *state = &view->state;

	for (size_t i = 0; i < state->n_generations; i++)
		if (redis_state_run(state, state->generations[i].run) != &state->generations[i])
			return false;
	for (size_t i = 0; i < view->n_generations; i++) {
		const struct generation *gen = redis_state_run(state, view->generations[i].run);

		if (!gen || view->generations[i].upto > gen->next)
			return false;
		for (size_t j = 0; j < i; j++)
			if (view->generations[j].run == view->generations[i].run)
				return false;
	}
	return true;
}

static void take_view(struct speedcopy *copy, const struct redis_view *view)
{
	struct redis_since *since = xcalloc(copy->view.n_gens + 1, sizeof(*since));
	struct err err = { 0 };
	int result;
	size_t n = speedcopy_since(copy, since);

	assert(n >= 1 && n <= copy->view.n_gens + 1);
	free(since);
	result = speedcopy_take(copy, view, &err);
	check_error(result, &err);
	if (result)
		assert(!copy->view.n_gens && !copy->exact);
	if (!copy->exact)
		return;
	check_exact(copy);
	if (is_sound(view)) {
		uint64_t sums = sums_of(copy);

		result = speedcopy_take(copy, view, &err);
		assert(!result && copy->exact && sums_of(copy) == sums);
	}
}

static void decode_read(struct speedcopy *copy, const redisReply *reply)
{
	struct redis_view view, again;
	struct err err = { 0 };
	int result = redis_read_reply(reply, &view, &err);

	check_error(result, &err);
	assert(redis_read_reply(reply, &again, &err) == result);
	if (result)
		return;
	assert(view.n_generations == again.n_generations && view.state.born == again.state.born);
	check_state(&view.state);
	take_view(copy, &view);
	redis_view_release(&view);
	redis_view_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct calendar calendar;
	struct text rest = { (const char *)data, size }, one;
	struct speedcopy copy;
	struct err err;

	if (!calendar.zone[0] && zone_load("Europe/London", &calendar, &err))
		abort();
	speedcopy_init(&copy, &calendar);
	for (int n = 0; n < REPLIES_MAX && fuzz_next(&rest, '\f', &one) && one.len; n++) {
		struct text tree = { one.at + 1, one.len - 1 };
		redisReply *reply = build_reply(&tree, 0);

		if (*one.at == 'f')
			decode_flush(reply);
		else if (*one.at == 's')
			decode_seal(reply);
		else if (*one.at == 'a')
			decode_adopt(reply);
		else
			decode_read(&copy, reply);
		free_reply(reply);
	}
	speedcopy_release(&copy);
	return 0;
}
