#include "common/base.h"
#include "serving/product_read.h"

#include "common/mem.h"

enum { REPLIES_PER_RUN = 3 }; /* end of the index, the chunk's version, the chunk */

void product_read_ask(struct product_read *read, const char *base, const struct speed_partition *partition,
	int64_t run, int32_t day, struct redis_link_transaction *transaction)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };

	product_read_release(read);
	read->day = day;
	read->runs = xcalloc(partition->n_gens, sizeof(*read->runs));
	redis_command_start(&command);
	redis_command_text(&command, "HGETALL");
	redis_command_format(&command, "%s:state", base);
	redis_link_add(transaction, &command);
	for (size_t g = 0; g < partition->n_gens; g++) {
		int64_t id = partition->gens[g].range.run;

		if (id < run)
			continue;
		read->runs[read->n_runs++] = id;
		redis_command_start(&command);
		redis_command_text(&command, "ZRANGE");
		redis_command_format(&command, "%s:%" PRId64 ":index", base, id);
		redis_command_text(&command, "-1");
		redis_command_text(&command, "-1");
		redis_command_text(&command, "WITHSCORES");
		redis_link_add(transaction, &command);
		redis_command_start(&command);
		redis_command_text(&command, "ZSCORE");
		redis_command_format(&command, "%s:%" PRId64 ":index", base, id);
		redis_command_format(&command, "p:%" PRId32, day);
		redis_link_add(transaction, &command);
		redis_command_start(&command);
		redis_command_text(&command, "HGETALL");
		redis_command_format(&command, "%s:%" PRId64 ":p:%" PRId32, base, id, day);
		redis_link_add(transaction, &command);
	}
}

void product_read_release(struct product_read *read)
{
	free(read->runs);
	*read = (struct product_read){ 0 };
}

static bool text_is(const redisReply *reply, const char *text)
{
	return reply->type == REDIS_REPLY_STRING && !strcmp(reply->str, text);
}

static bool array_of(const redisReply *reply, size_t n)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == n;
}

/* The newest version in a generation's index is the generation's next offset: nothing of it is cut off. */
static bool index_ends(const redisReply *last, const struct generation *generation)
{
	char next[24];

	if (generation->next == generation->start)
		return array_of(last, 0);
	snprintf(next, sizeof(next), "%" PRId64, generation->next);
	return array_of(last, 2) && text_is(last->element[1], next);
}

/* Takes the header out of the chunk's fields, by putting it behind them. False when it is not that version's.
 */
static bool take_header(const redisReply *fields, int64_t run, const char *version)
{
	char header[64];

	snprintf(header, sizeof(header), "%" PRId64 " %s", run, version);
	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		redisReply **at = &fields->element[i], **last = &fields->element[fields->elements - 2];
		redisReply *name = at[0], *value = at[1];

		if (!text_is(name, "#"))
			continue;
		at[0] = last[0];
		at[1] = last[1];
		last[0] = name;
		last[1] = value;
		return text_is(value, header);
	}
	return false;
}

static int take_generation(const struct product_read *read, size_t i, redisReply *const *replies,
	struct redis_view *view, struct err *err)
{
	const redisReply *last = replies[0], *version = replies[1], *fields = replies[2];
	const struct generation *generation = redis_state_run(&view->state, read->runs[i]);
	struct redis_generation_view *taken;

	if (!generation)
		return 0; /* it has expired, or the partition has started again */
	if (!index_ends(last, generation) || fields->type != REDIS_REPLY_ARRAY || fields->elements % 2 ||
		(version->type == REDIS_REPLY_STRING && !take_header(fields, generation->run, version->str)))
		return err_set(err, ERR_DATA,
			"generation %" PRId64 " of the speed view is damaged: chunk 'p:%" PRId32
			"' or its index",
			generation->run, read->day);
	taken = &view->generations[view->n_generations++];
	*taken = (struct redis_generation_view){
		.run = generation->run, .complete = true, .upto = generation->next
	};
	if (version->type != REDIS_REPLY_STRING)
		return 0; /* no such chunk; what stands under its name is a leftover */
	taken->chunks = xcalloc(1, sizeof(*taken->chunks));
	taken->n_chunks = 1;
	taken->chunks[0] = (struct redis_chunk){ .kind = 'p',
		.number = read->day,
		.n_fields = fields->elements / 2 - 1,
		.fields = fields->element };
	return 0;
}

static bool was_asked(const struct product_read *read, int64_t run)
{
	for (size_t i = 0; i < read->n_runs; i++)
		if (read->runs[i] == run)
			return true;
	return false;
}

int product_read_reply(const struct product_read *read, const redisReply *reply, int64_t run,
	struct redis_view *ret_view, bool *ret_other, struct err *err)
{
	redisReply no_beat = { .type = REDIS_REPLY_ARRAY };
	redisReply *parts[2] = { NULL, &no_beat };
	redisReply head = { .type = REDIS_REPLY_ARRAY, .elements = 2, .element = parts };
	struct redis_view view = { 0 };
	bool other = false;

	if (!array_of(reply, 1 + REPLIES_PER_RUN * read->n_runs))
		return redis_error(NULL, reply, err, "cannot read products");
	parts[0] = reply->element[0];
	if (redis_read_reply(&head, &view, err))
		return -1;
	free(view.generations);
	view.generations = xcalloc(read->n_runs, sizeof(*view.generations));
	for (size_t i = 0; i < view.state.n_generations; i++)
		other = other || (view.state.generations[i].run >= run &&
					 !was_asked(read, view.state.generations[i].run));
	for (size_t i = 0; i < read->n_runs && !view.state.broken; i++) {
		if (take_generation(read, i, &reply->element[1 + REPLIES_PER_RUN * i], &view, err)) {
			redis_view_release(&view);
			return -1;
		}
	}
	*ret_view = view;
	*ret_other = other;
	return 0;
}
