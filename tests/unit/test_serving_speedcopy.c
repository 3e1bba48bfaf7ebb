#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/zone.h"
#include "serving/speedcopy.h"
#include "tests/unit/unit.h"

enum { TEXTS_MAX = 256, CHUNKS_MAX = 16 };

static struct calendar calendar;

/* A reply put together piece by piece; what it points to lives in here. */
struct reply {
	struct redis_view view;
	struct generation gens[4];
	struct redis_generation_view views[4];
	struct redis_chunk chunks[4][CHUNKS_MAX];
	redisReply texts[TEXTS_MAX];
	redisReply *pointers[TEXTS_MAX];
	size_t n_texts;
};

static void reply_init(struct reply *reply, int64_t born)
{
	memset(reply, 0, sizeof(*reply));
	reply->view.state = (struct redis_state){ .present = true, .born = born, .generations = reply->gens };
	reply->view.state.latest.latest_event_ms = 77;
	reply->view.generations = reply->views;
}

static void reply_generation(
	struct reply *reply, int64_t run, int64_t start, int64_t next, bool complete, int64_t upto)
{
	size_t g = reply->view.state.n_generations++;

	reply->gens[g] = (struct generation){ run, start, next };
	reply->views[g] = (struct redis_generation_view){ run, complete, upto, reply->chunks[g], 0 };
	reply->view.n_generations++;
}

static void reply_text(struct reply *reply, const char *text)
{
	redisReply *r = &reply->texts[reply->n_texts];

	assert_true(reply->n_texts < TEXTS_MAX);
	r->type = REDIS_REPLY_STRING;
	r->str = (char *)text;
	r->len = strlen(text);
	reply->pointers[reply->n_texts++] = r;
}

/* fields: field, value, ..., NULL */
static void reply_chunk(struct reply *reply, char kind, int64_t number, const char *const *fields)
{
	struct redis_generation_view *gen = &reply->views[reply->view.n_generations - 1];
	struct redis_chunk *chunk = &gen->chunks[gen->n_chunks++];

	*chunk = (struct redis_chunk){
		.kind = kind, .number = number, .fields = &reply->pointers[reply->n_texts]
	};
	for (; *fields; fields += 2, chunk->n_fields++) {
		reply_text(reply, fields[0]);
		reply_text(reply, fields[1]);
	}
}

#define FIELDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int take(struct speedcopy *copy, const struct reply *reply)
{
	struct err err = { 0 };
	int result = speedcopy_take(copy, &reply->view, &err);

	assert_int_equal(result, err.code ? -1 : 0);
	return result;
}

static struct revenue day_of(const struct speedcopy *copy, size_t gen, int32_t day, const char *code)
{
	struct view_day_key key = { day, currency_find(unit_text(code)) };
	const struct view_day *found = table_find(&copy->view.gens[gen].days, &key);

	return found ? found->revenue : (struct revenue){ 0 };
}

/* 2011-06-01T22:00Z is 23:00 in London, the next hour belongs to the next day; both by summer time */
static const int32_t day = 15126; /* 2011-06-01 */
static const int64_t hour = 15126 * 24 + 22;

static void test_chunks(void **state)
{
	struct speedcopy copy;
	struct reply reply;
	struct redis_since pairs[4];

	(void)state;
	speedcopy_init(&copy, &calendar);
	assert_int_equal(speedcopy_since(&copy, pairs), 1);
	assert_int_equal(pairs[0].run, 0);
	assert_int_equal(pairs[0].version, 0);

	reply_init(&reply, 1);
	reply_generation(&reply, 3, 10, 20, false, 15);
	reply_chunk(&reply, 'r', hour,
		FIELDS("07GBPg", "50000", "07GBPo", "2", "07GBPu", "3", "59GBPr", "10000", "59GBPc", "1"));
	assert_int_equal(take(&copy, &reply), 0);
	assert_false(copy.exact); /* more is to come */
	assert_true(copy.changed);
	assert_int_equal(speedcopy_since(&copy, pairs), 1);
	assert_int_equal(pairs[0].run, 3);
	assert_int_equal(pairs[0].version, 15);

	reply_init(&reply, 1);
	reply_generation(&reply, 3, 10, 20, true, 20);
	reply_chunk(&reply, 'r', hour + 1, FIELDS("00EURg", "70000", "00EURo", "1"));
	reply_chunk(&reply, 'c', 0,
		FIELDS("records", "8", "counted", "4", "rejected:json", "2", "rejected:time", "1",
			"duplicate", "1"));
	reply_chunk(&reply, 'd', day, FIELDS("duplicate", "1", "eGBP", "2", "lGBP", "-5", "^GBP", "7000"));
	assert_int_equal(take(&copy, &reply), 0);
	assert_true(copy.exact);
	assert_int_equal(copy.view.latest_event_ms, 77);
	assert_int_equal(copy.view.gens[0].rejected, 3);
	assert_int_equal(day_of(&copy, 0, day, "GBP").gross_e4, 50000);
	assert_int_equal(day_of(&copy, 0, day, "GBP").refunds_e4, 10000);
	assert_int_equal(day_of(&copy, 0, day, "GBP").orders, 2);
	assert_int_equal(day_of(&copy, 0, day + 1, "EUR").gross_e4, 70000);

	reply_init(&reply, 1); /* nothing new */
	reply_generation(&reply, 3, 10, 20, true, 20);
	assert_int_equal(take(&copy, &reply), 0);
	assert_true(copy.exact);
	assert_false(copy.changed);

	reply_init(&reply, 1); /* a chunk comes again: in place of what it was; and a run has sealed */
	reply_generation(&reply, 3, 10, 25, true, 25);
	reply_chunk(&reply, 'r', hour,
		FIELDS("07GBPg", "90000", "07GBPo", "3", "07GBPu", "4", "59GBPr", "10000", "59GBPc", "1"));
	reply_chunk(&reply, 'c', 0, FIELDS("records", "9", "counted", "5"));
	reply_chunk(&reply, 'd', day, FIELDS("duplicate", "4", "eGBP", "3", "lGBP", "-1", "^GBP", "8000"));
	reply_generation(&reply, 4, 25, 25, true, 25);
	assert_int_equal(take(&copy, &reply), 0);
	assert_true(copy.exact);
	assert_int_equal(copy.view.n_gens, 2);
	assert_int_equal(day_of(&copy, 0, day, "GBP").gross_e4, 90000);
	assert_int_equal(day_of(&copy, 0, day, "GBP").orders, 3);
	assert_int_equal(((struct view_duplicates *)table_at(&copy.view.gens[0].duplicates, 0))->n, 4);
	assert_memory_equal(table_at(&copy.view.gens[0].late, 0),
		&((struct late_day){ { day, currency_find((struct text){ "GBP", 3 }) }, 3, -1, 8000 }),
		sizeof(struct late_day));
	assert_int_equal(speedcopy_since(&copy, pairs), 2);

	reply_init(&reply, 1); /* the covered one has expired */
	reply_generation(&reply, 4, 25, 25, true, 25);
	assert_int_equal(take(&copy, &reply), 0);
	assert_true(copy.exact);
	assert_int_equal(copy.view.n_gens, 1);

	memset(&reply.view, 0, sizeof(reply.view)); /* all is lost */
	assert_int_equal(take(&copy, &reply), 0);
	assert_true(copy.exact && copy.changed && !copy.view.there);
	assert_int_equal(copy.view.n_gens, 0);
	speedcopy_release(&copy);
}

/* What has started again has nothing in common with the copy, even where its offsets do. */
static void test_born(void **state)
{
	struct speedcopy copy;
	struct reply reply;
	struct redis_since pairs[4];

	(void)state;
	speedcopy_init(&copy, &calendar);
	reply_init(&reply, 1);
	reply_generation(&reply, 3, 10, 20, true, 20);
	reply_chunk(&reply, 'r', hour, FIELDS("07GBPo", "2"));
	reply_chunk(&reply, 'c', 0, FIELDS("counted", "2"));
	assert_int_equal(take(&copy, &reply), 0);
	reply_init(&reply, 2);
	reply_generation(&reply, 3, 10, 20, true, 20);
	assert_int_equal(take(&copy, &reply), 0);
	assert_false(copy.exact);
	assert_int_equal(speedcopy_since(&copy, pairs), 1);
	assert_int_equal(pairs[0].version, 0);
	speedcopy_release(&copy);
}

/* Redis came back with what it had some time ago: the copy knows events that the state has not. */
static void test_older(void **state)
{
	struct speedcopy copy;
	struct reply reply;
	struct redis_since pairs[4];

	(void)state;
	speedcopy_init(&copy, &calendar);
	reply_init(&reply, 1);
	reply_generation(&reply, 3, 10, 20, true, 20);
	reply_chunk(&reply, 'r', hour, FIELDS("07GBPo", "2"));
	reply_chunk(&reply, 'c', 0, FIELDS("counted", "2"));
	assert_int_equal(take(&copy, &reply), 0);
	reply_init(&reply, 1);
	reply_generation(&reply, 3, 10, 15, true, 15);
	assert_int_equal(take(&copy, &reply), 0);
	assert_false(copy.exact);
	assert_int_equal(speedcopy_since(&copy, pairs), 1);
	assert_int_equal(pairs[0].version, 0);
	speedcopy_release(&copy);
}

/* Redis came back from before the run's seal, and the run sealed again, elsewhere: what stands between the
 * two cuts would not be sent. */
static void test_sealed_elsewhere(void **state)
{
	struct speedcopy copy;
	struct reply reply;

	(void)state;
	speedcopy_init(&copy, &calendar);
	reply_init(&reply, 1);
	reply_generation(&reply, 3, 10, 20, true, 20);
	reply_chunk(&reply, 'c', 0, FIELDS("counted", "0"));
	assert_int_equal(take(&copy, &reply), 0);
	assert_true(copy.exact);
	reply_init(&reply, 1);
	reply_generation(&reply, 3, 8, 25, true, 25);
	reply_chunk(&reply, 'c', 0, FIELDS("counted", "0"));
	assert_int_equal(take(&copy, &reply), 0);
	assert_false(copy.exact);
	assert_int_equal(copy.view.n_gens, 0);
	speedcopy_release(&copy);
}

static void test_wrong(void **state)
{
	static const struct {
		char kind;
		int64_t number;
		const char *field, *value;
	} cases[] = {
		{ 'r', 15126 * 24, "60GBPg", "1" }, { 'r', 15126 * 24, "07XXXg", "1" },
		{ 'r', 15126 * 24, "07GBPz", "1" }, { 'r', 15126 * 24, "07GBPg", "x" },
		{ 'r', 15126 * 24, "07GBPg", "9223372036854775808" }, { 'r', 15126 * 24, "07GBP", "1" },
		{ 'r', 1, "07GBPg", "1" }, { 'r', INT64_C(99999999999), "07GBPg", "1" },
		{ 'r', 15126 * 24, "07GBPo", "1" }, /* more than the counters say */
		{ 'p', 15126, "nGBPx", "1" }, { 'c', 0, "nonsense", "1" },
		{ 'c', 0, "counted", "1" }, /* more than the chunks hold */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct speedcopy copy;
		struct reply reply;

		speedcopy_init(&copy, &calendar);
		reply_init(&reply, 1);
		reply_generation(&reply, 0, 0, 5, true, 5);
		reply_chunk(&reply, cases[i].kind, cases[i].number, FIELDS(cases[i].field, cases[i].value));
		if (take(&copy, &reply) != -1)
			fail_msg("case %zu was taken", i);
		assert_false(copy.exact);
		assert_int_equal(copy.view.n_gens, 0);
		speedcopy_release(&copy);
	}
}

static int setup(void **state)
{
	struct err err = { 0 };

	(void)state;
	return zone_load("Europe/London", &calendar, &err);
}

static int teardown(void **state)
{
	(void)state;
	calendar_release(&calendar);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_born),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_sealed_elsewhere),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
