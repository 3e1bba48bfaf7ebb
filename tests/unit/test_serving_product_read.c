#include "common/base.h"
#include "common/mem.h"
#include "serving/product_read.h"
#include "tests/unit/unit.h"

/* Replies as hiredis makes them; freed whole. */
static redisReply *text(const char *at)
{
	redisReply *reply = xcalloc(1, sizeof(*reply));

	reply->type = at ? REDIS_REPLY_STRING : REDIS_REPLY_NIL;
	reply->str = at ? xstrdup(at) : NULL;
	reply->len = at ? strlen(at) : 0;
	return reply;
}

/* Words, with a bar between two. */
static redisReply *array(const char *words)
{
	redisReply *reply = xcalloc(1, sizeof(*reply));

	reply->type = REDIS_REPLY_ARRAY;
	while (*words) {
		size_t len = strcspn(words, "|");
		char *word = xstrndup(words, len);

		reply->element = xreallocarray(reply->element, reply->elements + 1, sizeof(*reply->element));
		reply->element[reply->elements++] = text(word);
		free(word);
		words += len + (words[len] == '|');
	}
	return reply;
}

static void reply_free(redisReply *reply)
{
	for (size_t i = 0; i < reply->elements; i++)
		reply_free(reply->element[i]);
	free(reply->element);
	free(reply->str);
	free(reply);
}

struct answer {
	const char *last, *version, *fields; /* of generation 7 */
};

static redisReply *exec_reply(const char *gens, const struct answer *answer)
{
	redisReply *reply = xcalloc(1, sizeof(*reply));
	char *state = xasprintf(
		"gens|%s|seen|7|born|1|fold|k1|latest_event||latest_record||log|x|tail||lost|", gens);

	reply->type = REDIS_REPLY_ARRAY;
	reply->elements = 4;
	reply->element = xcalloc(4, sizeof(*reply->element));
	reply->element[0] = array(state);
	reply->element[0]->element = xreallocarray(
		reply->element[0]->element, reply->element[0]->elements + 1, sizeof(*reply->element));
	reply->element[0]->element[reply->element[0]->elements++] = text(""); /* of lost */
	reply->element[1] = array(answer->last);
	reply->element[2] = text(answer->version);
	reply->element[3] = array(answer->fields);
	free(state);
	return reply;
}

static struct product_read ask(void)
{
	struct speed_generation gens[2] = { { .range = { 3, 0, 10 } }, { .range = { 7, 10, 20 } } };
	struct speed_partition partition = { .there = true, .n_gens = 2, .gens = gens };
	SCOPED(redis_link_transaction_release) struct redis_link_transaction transaction = { 0 };
	struct product_read read = { 0 };

	product_read_ask(&read, "n:{t/0}", &partition, 7, 15126, &transaction);
	assert_int_equal(read.n_runs, 1);
	assert_int_equal(read.runs[0], 7);
	assert_int_equal(transaction.n, 4);
	assert_non_null(memmem(transaction.bytes, transaction.len, "n:{t/0}:7:p:15126", 17));
	return read;
}

static void test_whole(void **state)
{
	static const struct answer answer = { "c|20", "18", "nGBPa|100|#|7 18|uGBPa|1" };
	SCOPED(product_read_release) struct product_read read = ask();
	redisReply *reply = exec_reply("3,0,10 7,10,20", &answer);
	struct redis_view view;
	struct err err = { 0 };
	struct text field;
	int64_t value;
	bool other;

	(void)state;
	assert_int_equal(product_read_reply(&read, reply, 7, &view, &other, &err), 0);
	assert_false(other);
	assert_int_equal(view.n_generations, 1);
	assert_int_equal(view.generations[0].n_chunks, 1);
	assert_int_equal(view.generations[0].chunks[0].n_fields, 2); /* without the header */
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(redis_chunk_field(&view.generations[0].chunks[0], i, &field, &value), 0);
		assert_int_equal(value, field.at[0] == 'n' ? 100 : 1);
	}
	redis_view_release(&view);
	reply_free(reply);
}

static void test_other_states(void **state)
{
	static const struct {
		const char *gens;
		struct answer answer;
		bool other;
		size_t n_generations, n_chunks;
	} cases[] = {
		{ "7,10,20 9,20,25", { "c|20", "18", "#|7 18" }, true, 1,
			1 }, /* one was opened since we asked */
		{ "9,20,25", { "c|20", "18", "#|7 18" }, true, 0, 0 }, /* ours is gone */
		{ "7,10,20", { "c|20", NULL, "" }, false, 1, 0 }, /* nothing was sold that day */
		{ "7,10,20", { "c|20", NULL, "nGBPa|1" }, false, 1, 0 }, /* a leftover */
		{ "7,10,10", { "", NULL, "" }, false, 1, 0 }, /* just opened */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		SCOPED(product_read_release) struct product_read read = ask();
		redisReply *reply = exec_reply(cases[i].gens, &cases[i].answer);
		struct redis_view view;
		struct err err = { 0 };
		bool other;

		assert_int_equal(product_read_reply(&read, reply, 7, &view, &other, &err), 0);
		assert_int_equal(other, cases[i].other);
		assert_int_equal(view.n_generations, cases[i].n_generations);
		if (view.n_generations)
			assert_int_equal(view.generations[0].n_chunks, cases[i].n_chunks);
		redis_view_release(&view);
		reply_free(reply);
	}
}

static void test_damaged(void **state)
{
	static const struct answer cases[] = {
		{ "c|20", "18", "" }, /* the index names a chunk that is not there */
		{ "c|20", "18", "nGBPa|1" }, /* without a header */
		{ "c|20", "18", "nGBPa|1|#|7 17" }, /* of an older version */
		{ "c|20", "18", "nGBPa|1|#|3 18" }, /* of another generation */
		{ "c|19", "18", "nGBPa|1|#|7 18" }, /* the index is cut off */
		{ "", NULL, "" }, /* the index is gone */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		SCOPED(product_read_release) struct product_read read = ask();
		redisReply *reply = exec_reply("7,10,20", &cases[i]);
		struct redis_view view;
		struct err err = { 0 };
		bool other;

		if (!product_read_reply(&read, reply, 7, &view, &other, &err))
			fail_msg("case %zu was taken", i);
		assert_int_equal(err.code, ERR_DATA);
		reply_free(reply);
	}
}

static void test_no_exec(void **state)
{
	redisReply refused = { .type = REDIS_REPLY_ERROR, .str = (char *)"EXECABORT", .len = 9 };
	redisReply nothing = { .type = REDIS_REPLY_ARRAY };
	SCOPED(product_read_release) struct product_read read = ask();
	struct redis_view view;
	struct err err = { 0 };
	bool other;

	(void)state;
	assert_int_equal(product_read_reply(&read, &refused, 7, &view, &other, &err), -1);
	assert_int_equal(product_read_reply(&read, &nothing, 7, &view, &other, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_other_states),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_no_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
