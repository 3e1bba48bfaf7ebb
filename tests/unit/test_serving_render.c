#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/zone.h"
#include "serving/render.h"
#include "tests/unit/unit.h"

/* 2026-11-23T10:00:00.120Z */
#define NOW INT64_C(1795428000120)
enum { HOUR_MS = 3600000, GRACE_MS = 1800000, IDLE_MS = 60000 };

static struct calendar calendar;
static const struct snapshot_rules rules = { &calendar, GRACE_MS, IDLE_MS };

/* One partition: a run 42 with the cut 1000, and its generation [1000, 1100). */
struct scene {
	struct batch_view *batch;
	struct speed_partition part;
	struct speed_generation gen;
	int64_t known;
	bool speed;
	int64_t age_ms;
	bool batch_away;
	struct snapshot *snapshot;
};

static int32_t today(void)
{
	return calendar_day(&calendar, NOW);
}

static int currency(const char *code)
{
	int found = currency_find(unit_text(code));

	assert_true(found >= 0);
	return found;
}

static void scene_open(struct scene *scene)
{
	struct view_day_key key = { today(), currency("GBP") };

	memset(scene, 0, sizeof(*scene));
	scene->batch = batch_view_new();
	scene->batch->publication = 43;
	scene->batch->run = 42;
	scene->batch->cut_time_ms = NOW - 8 * HOUR_MS + 880;
	scene->batch->published_ms = NOW - 8 * HOUR_MS + 200000;
	scene->batch->n_cuts = 1;
	scene->batch->cuts = calloc(1, sizeof(*scene->batch->cuts));
	scene->batch->cuts[0] = (struct view_cut){ 1000, NOW - 9 * HOUR_MS };
	scene->batch->n_corrections = 1;
	scene->batch->corrections = calloc(1, sizeof(*scene->batch->corrections));
	scene->batch->corrections[0] = (struct view_correction){ key, 1250000000, 1200000000, 1,
		{ { "duplicate_beyond_horizon", -50000000, 31 } } };
	assert_int_equal(view_days_add(&scene->batch->days, key,
				 &(struct revenue){ 1215000000, 15000000, 1000, 15, 7000 }),
		0);
	table_init(&scene->gen.days, sizeof(struct view_day), sizeof(struct view_day_key));
	table_init(&scene->gen.duplicates, sizeof(struct view_duplicates), sizeof(int32_t));
	table_init(&scene->gen.late, sizeof(struct late_day), sizeof(struct late_key));
	assert_int_equal(
		view_days_add(&scene->gen.days, key, &(struct revenue){ 308000000, 8000000, 204, 2, 1123 }),
		0);
	view_duplicates_add(&scene->gen.duplicates, today(), 3);
	view_duplicates_add(&scene->gen.duplicates, today() - 1, 7);
	assert_int_equal(
		view_late_add(&scene->gen.late, &(struct late_day){ { today() - 1, key.currency }, 9, 1, 1 }),
		0);
	scene->gen.range = (struct generation){ 42, 1000, 1100 };
	scene->part.there = true;
	scene->part.gens = &scene->gen;
	scene->part.n_gens = 1;
	scene->part.latest_event_ms = NOW - 2100;
	scene->part.beat = (struct speed_beat){ true, NOW - 500, 1100, 1100, DATETIME_NONE, NOW - 100, 0,
		DATETIME_NONE };
	scene->speed = true;
}

static void scene_take(struct scene *scene)
{
	struct picture *picture = merge_picture(&scene->batch, 1, &scene->part, 1, scene->speed, 1000000);
	struct snapshot_input input = { picture, NOW, 1000000 + scene->age_ms, 1, &scene->known,
		scene->batch_away };

	assert_non_null(picture);
	snapshot_unref(scene->snapshot);
	scene->snapshot = snapshot_new(&rules, &input);
	picture_unref(picture);
}

static void scene_close(struct scene *scene)
{
	snapshot_unref(scene->snapshot);
	batch_view_unref(scene->batch);
	table_release(&scene->gen.days);
	table_release(&scene->gen.duplicates);
	table_release(&scene->gen.late);
}

/* The answer as a string of its own. */
static char *ask(struct scene *scene, struct question question)
{
	struct problem problem = { 0 };
	struct body *body;
	char *text;

	scene_take(scene);
	body = snapshot_answer(scene->snapshot, &question, &problem);
	if (!body)
		fail_msg("%d %s", problem.status, problem.detail);
	text = body ? strndup(body->data, body->len) : NULL;
	body_unref(body);
	return text;
}

static void assert_has(struct scene *scene, struct question question, const char *piece)
{
	char *text = ask(scene, question);

	if (!strstr(text, piece))
		fail_msg("'%s' is not in %s", piece, text);
	free(text);
}

static const struct question day_question = { .route = QUESTION_DAY, .today = true, .currency = -1 };

/* The answer that the API's documentation shows, to the byte. */
static void test_example(void **state)
{
	static const char expected[] =
		"{\"date\":\"2026-11-23\",\"time_zone\":\"Europe/London\",\"final\":false,"
		"\"revenue\":[{\"currency\":\"GBP\",\"net\":\"150000.00\",\"gross\":\"152300.00\","
		"\"refunds\":\"2300.00\","
		"\"orders\":1204,\"refund_count\":17,\"units\":8123,"
		"\"confirmed\":{\"net\":\"120000.00\"},\"provisional\":{\"net\":\"30000.00\"}}],"
		"\"as_of\":\"2026-11-23T10:00:00.120Z\",\"watermark\":\"2026-11-23T09:59:58.020Z\","
		"\"batch\":{\"run\":42,\"publication\":43,\"cut_time\":\"2026-11-23T02:00:01Z\","
		"\"published_at\":\"2026-11-23T02:03:20Z\"},"
		"\"speed\":{\"lag_events\":0,\"lag_seconds\":0.0,\"held_events\":0,\"duplicates\":3,\"late\":"
		"0,\"rejected\":0},"
		"\"corrections\":[{\"run\":42,\"currency\":\"GBP\",\"before\":\"125000.00\",\"after\":"
		"\"120000.00\","
		"\"difference\":\"-5000.00\",\"causes\":[{\"cause\":\"duplicate_beyond_horizon\",\"net\":\"-"
		"5000.00\","
		"\"events\":31}]}],"
		"\"degraded\":[],\"caveat\":\"includes 8 h of provisional orders; the next batch run "
		"confirms them\"}";
	struct scene scene;
	char *text;

	(void)state;
	scene_open(&scene);
	text = ask(&scene, day_question);
	assert_string_equal(text, expected);
	free(text);
	scene.part.beat.end = 1101; /* one record waits for 20 ms */
	scene.part.beat.waiting_ms = NOW - 20;
	assert_has(&scene, day_question, "\"lag_events\":1,\"lag_seconds\":0.02,");
	scene.part.beat.end = 1102; /* that one was counted since the heartbeat, and another one waits */
	scene.part.beat.next = 1099;
	assert_has(&scene, day_question, "\"lag_events\":2,\"lag_seconds\":0.0,");
	scene_close(&scene);
}

/* A speed layer that is behind is named in the caveat, by how much, unless only confirmed orders were asked
 * for. */
static void test_behind(void **state)
{
	struct question question = day_question;
	struct scene scene;

	(void)state;
	scene_open(&scene);
	scene.part.beat.end = 1879;
	scene.part.beat.waiting_ms = NOW - 14000;
	assert_has(&scene, day_question,
		"\"caveat\":\"includes 8 h of provisional orders; the next batch run confirms them; "
		"the speed layer is 14 s behind: 779 orders wait\"");
	question.from = question.to = today() - 5; /* they may be of any day */
	question.today = false;
	assert_has(&scene, question, "\"caveat\":\"the speed layer is 14 s behind: 779 orders wait\"");
	scene.part.beat.end = 1101;
	assert_has(&scene, question, "\"caveat\":\"the speed layer is 14 s behind: 1 order waits\"");
	question.view = QUESTION_BATCH;
	assert_has(&scene, question, "\"caveat\":\"confirmed orders only: those that had arrived 8 h ago\"");
	question.view = QUESTION_MERGED;
	scene.part.beat.waiting_ms = NOW - 5000;
	assert_has(&scene, question, "\"caveat\":null");

	/* the batch has counted what the speed layer is still at: nothing waits */
	scene.part.beat = (struct speed_beat){ true, NOW, 1000, 900, NOW - 14000, NOW, 0, DATETIME_NONE };
	scene.gen.range = (struct generation){ 41, 800, 900 };
	assert_has(&scene, question, "\"lag_events\":0,\"lag_seconds\":0.0,");
	scene_close(&scene);
}

/* What an open transaction holds back is told at once, and in words once it has lasted. */
static void test_held(void **state)
{
	struct question question = day_question;
	struct scene scene;

	(void)state;
	scene_open(&scene);
	question.from = question.to = today() - 5;
	question.today = false;
	scene.part.beat.held = 12;
	scene.part.beat.held_ms = NOW - 5000;
	assert_has(&scene, question, "\"lag_events\":0,\"lag_seconds\":0.0,\"held_events\":12,");
	assert_has(&scene, question, "\"caveat\":null");
	scene.part.beat.held_ms = NOW - 30000;
	assert_has(&scene, question,
		"\"caveat\":\"a producer's open transaction has held back 12 records for 30 s: they are "
		"counted "
		"when it ends\"");
	question.view = QUESTION_BATCH;
	assert_has(&scene, question, "\"caveat\":\"confirmed orders only: those that had arrived 8 h ago\"");
	question.view = QUESTION_MERGED;
	scene.gen.range.next = 1101; /* it ended after the heartbeat */
	assert_has(&scene, question, "\"held_events\":0,");
	scene.gen.range.next = 1100;
	scene.part.beat.time_ms = NOW - 5001;
	assert_has(&scene, question, "\"lag_events\":null,\"lag_seconds\":null,\"held_events\":null,");
	scene_close(&scene);
}

/* A run whose cut's time is not known has no age. */
static void test_no_cut_time(void **state)
{
	struct question question = day_question;
	struct scene scene;

	(void)state;
	scene_open(&scene);
	scene.batch->cut_time_ms = DATETIME_NONE;
	assert_has(&scene, day_question, "\"cut_time\":null");
	assert_has(&scene, day_question, "\"includes provisional orders; the next batch run confirms them\"");
	question.view = QUESTION_BATCH;
	assert_has(&scene, question,
		"\"caveat\":\"confirmed orders only: those that had arrived at the last batch run\"");
	scene_close(&scene);
}

static void test_views(void **state)
{
	struct question question = day_question;
	struct scene scene;

	(void)state;
	scene_open(&scene);
	question.view = QUESTION_BATCH;
	assert_has(&scene, question, "\"net\":\"120000.00\",\"gross\":\"121500.00\"");
	assert_has(&scene, question, "\"provisional\":{\"net\":\"0.00\"}");
	assert_has(&scene, question, "\"caveat\":\"confirmed orders only: those that had arrived 8 h ago\"");
	question.view = QUESTION_SPEED;
	assert_has(&scene, question, "\"net\":\"30000.00\",\"gross\":\"30800.00\"");
	assert_has(&scene, question, "\"confirmed\":{\"net\":\"0.00\"}");
	question.view = QUESTION_MERGED;
	question.currency = currency("EUR");
	assert_has(&scene, question, "\"revenue\":[]");
	assert_has(&scene, question, "\"corrections\":[]");
	question.currency = currency("GBP");
	assert_has(&scene, question, "\"net\":\"150000.00\"");
	scene_close(&scene);
}

/* Decimals: at least the currency's own, and no needless zeros. */
static void test_decimals(void **state)
{
	struct scene scene;

	(void)state;
	scene_open(&scene);
	assert_int_equal(view_days_add(&scene.batch->days, (struct view_day_key){ today(), currency("JPY") },
				 &(struct revenue){ 1230000, 0, 1, 0, 1 }),
		0);
	assert_int_equal(view_days_add(&scene.batch->days, (struct view_day_key){ today(), currency("KWD") },
				 &(struct revenue){ 15000, 30001, 1, 1, -1 }),
		0);
	assert_has(&scene, day_question, "{\"currency\":\"JPY\",\"net\":\"123\",\"gross\":\"123\"");
	assert_has(&scene, day_question,
		"{\"currency\":\"KWD\",\"net\":\"-1.5001\",\"gross\":\"1.500\",\"refunds\":\"3.0001\"");
	scene_close(&scene);
}

static void test_range(void **state)
{
	struct question question = { .route = QUESTION_RANGE, .currency = -1 };
	struct scene scene;
	char *text;
	int points = 0;

	(void)state;
	scene_open(&scene);
	question.from = today() - 2;
	question.to = today() + 1;
	text = ask(&scene, question);
	for (const char *at = text; (at = strstr(at, "{\"date\":\"2026-11-2")); at++)
		points++;
	assert_int_equal(points, 4 + 1); /* and one correction */
	assert_non_null(strstr(text,
		"{\"date\":\"2026-11-21\",\"currency\":\"GBP\",\"net\":\"0.00\",\"gross\":\"0.00\","
		"\"refunds\":\"0.00\",\"orders\":0,\"refund_count\":0,\"units\":0}"));
	assert_non_null(strstr(text, "\"duplicates\":10,\"late\":9,"));
	free(text);
	question.currency = currency("EUR");
	assert_has(&scene, question, "{\"date\":\"2026-11-24\",\"currency\":\"EUR\",\"net\":\"0.00\"");
	question.to = today() - 1;
	question.currency = -1;
	assert_has(&scene, question, "\"points\":[]");
	scene_close(&scene);
}

static void test_before_first_run(void **state)
{
	struct scene scene;

	(void)state;
	scene_open(&scene);
	batch_view_unref(scene.batch);
	scene.batch = batch_view_new();
	scene.gen.range.run = 0;
	assert_has(&scene, day_question, "\"batch\":null");
	assert_has(&scene, day_question,
		"\"confirmed\":{\"net\":\"0.00\"},\"provisional\":{\"net\":\"30000.00\"}");
	assert_has(&scene, day_question, "\"degraded\":[],\"caveat\":\"no batch run yet");
	scene_close(&scene);
}

static void test_final(void **state)
{
	struct question question = day_question;
	int64_t end_ms;
	struct scene scene;

	(void)state;
	scene_open(&scene);
	question.today = false;
	question.from = question.to = today() - 1;
	end_ms = calendar_day_start_ms(&calendar, today()) + GRACE_MS;
	scene.part.latest_event_ms = end_ms - 1;
	assert_has(&scene, question, "\"final\":false");
	scene.part.latest_event_ms = end_ms;
	assert_has(&scene, question, "\"final\":true");
	scene.known = 1101; /* something was shown that is not there now */
	assert_has(&scene, question, "\"final\":false");
	scene.known = 0;
	scene.age_ms = 2000;
	assert_has(&scene, question, "\"final\":false");
	scene.age_ms = 0;
	assert_int_equal(view_days_add(&scene.gen.days, (struct view_day_key){ today() - 1, currency("EUR") },
				 &(struct revenue){ 0, 0, 1, 0, 1 }),
		0);
	assert_has(&scene, question, "\"final\":false"); /* a late order, of no worth, but not confirmed */
	scene.speed = false;
	assert_has(&scene, question, "\"final\":false");
	scene_close(&scene);
}

static void test_degraded(void **state)
{
	struct speed_lost lost = { 42, 1010, 1020 };
	struct scene scene;

	(void)state;
	scene_open(&scene);
	scene.part.beat.time_ms = NOW - 5001;
	assert_has(&scene, day_question, "\"degraded\":[\"speed_silent\"]");
	assert_has(&scene, day_question, "\"lag_events\":null,\"lag_seconds\":null");
	scene.part.beat.there = false;
	assert_has(&scene, day_question, "\"degraded\":[\"speed_silent\"]");
	scene.age_ms = 12345;
	assert_has(&scene, day_question, "\"degraded\":[\"speed_stale\"]");
	assert_has(&scene, day_question, "\"age_seconds\":12.345");
	assert_has(&scene, day_question, "the provisional part is 12 s old");
	scene.age_ms = 0;
	scene.part.beat = (struct speed_beat){ true, NOW, 1100, 1100, DATETIME_NONE, NOW, 0, DATETIME_NONE };
	scene.batch_away = true;
	scene.batch->truncated = true;
	assert_has(&scene, day_question, "\"degraded\":[\"batch_unavailable\",\"truncated_history\"]");
	scene.batch_away = scene.batch->truncated = false;
	scene.known = 1105;
	assert_has(&scene, day_question,
		"\"degraded\":[\"rebuilding\"],\"missing\":[{\"partition\":0,\"from\":1100,\"to\":1105}]");
	scene.known = 0;
	scene.part.lost = &lost;
	scene.part.n_lost = 1;
	assert_has(&scene, day_question,
		"\"degraded\":[\"lost_events\"],\"missing\":[{\"partition\":0,\"from\":1010,\"to\":1020}]");
	scene.part.n_lost = 0;
	ranges_add(&scene.batch->lost, (struct range){ 2, 7, 9 });
	assert_has(&scene, day_question,
		"\"degraded\":[\"lost_events\"],\"missing\":[{\"partition\":2,\"from\":7,\"to\":9}]");
	assert_has(&scene, day_question, "\"final\":false");
	ranges_release(&scene.batch->lost);
	scene.part.n_lost = 1;
	scene.speed = false;
	assert_has(&scene, day_question, "\"speed\":null");
	assert_has(&scene, day_question,
		"\"degraded\":[\"speed_unavailable\"],\"missing\":[{\"partition\":0,\"from\":1000,\"to\":"
		"null}]");
	assert_has(&scene, day_question, "\"net\":\"120000.00\"");
	scene.speed = true;
	scene.part.there = false;
	scene.part.n_gens = 0;
	assert_has(&scene, day_question,
		"\"degraded\":[\"rebuilding\"],\"missing\":[{\"partition\":0,\"from\":1000,\"to\":null}]");
	scene_close(&scene);
}

/* The least over partitions that are not idle. */
static void test_watermark(void **state)
{
	struct batch_view *none = batch_view_new();
	struct speed_generation gens[2] = { 0 };
	struct speed_partition parts[2] = { 0 };
	static const struct {
		int64_t latest[2], record[2], waiting[2], end, expected;
	} cases[] = {
		{ { 100, 200 }, { NOW, NOW }, { DATETIME_NONE, DATETIME_NONE }, 10, 100 },
		{ { 100, 200 }, { NOW - IDLE_MS, NOW }, { DATETIME_NONE, DATETIME_NONE }, 10, 200 },
		{ { 100, 200 }, { NOW - IDLE_MS + 1, NOW }, { DATETIME_NONE, DATETIME_NONE }, 10, 100 },
		{ { 100, 200 }, { NOW - IDLE_MS, NOW }, { NOW - 5, DATETIME_NONE }, 10, 100 },
		{ { 100, 200 }, { NOW - IDLE_MS, NOW }, { DATETIME_NONE, DATETIME_NONE }, 11, 100 },
		{ { 100, 200 }, { NOW - IDLE_MS, NOW - IDLE_MS }, { DATETIME_NONE, DATETIME_NONE }, 10, 200 },
		{ { DATETIME_NONE, 200 }, { DATETIME_NONE, NOW }, { DATETIME_NONE, DATETIME_NONE }, 10, 200 },
		{ { DATETIME_NONE, 200 }, { NOW, NOW }, { DATETIME_NONE, DATETIME_NONE }, 10, DATETIME_NONE },
		{ { DATETIME_NONE, DATETIME_NONE }, { DATETIME_NONE, DATETIME_NONE },
			{ DATETIME_NONE, DATETIME_NONE }, 10, DATETIME_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct snapshot_input input = { .wall_ms = NOW };
		struct snapshot *snapshot;

		for (int p = 0; p < 2; p++) {
			gens[p].range = (struct generation){ 0, 0, 10 };
			parts[p] = (struct speed_partition){ .there = true,
				.n_gens = 1,
				.gens = &gens[p],
				.latest_event_ms = cases[i].latest[p],
				.beat = { true, NOW, p ? 10 : cases[i].end, 10, cases[i].waiting[p],
					cases[i].record[p], 0, DATETIME_NONE } };
		}
		input.picture = merge_picture(&none, 1, parts, 2, true, 0);
		snapshot = snapshot_new(&rules, &input);
		if (snapshot->watermark_ms != cases[i].expected)
			fail_msg("case %zu gave %" PRId64, i, snapshot->watermark_ms);
		snapshot_unref(snapshot);
		picture_unref(input.picture);
	}
	batch_view_unref(none);
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
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_no_cut_time),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_before_first_run),
		cmocka_unit_test(test_final),
		cmocka_unit_test(test_degraded),
		cmocka_unit_test(test_watermark),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
