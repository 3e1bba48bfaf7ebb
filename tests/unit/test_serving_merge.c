#include "common/base.h"
#include "serving/merge.h"
#include "tests/unit/unit.h"

enum { PARTS_MAX = 4, GENS_MAX = 256, MAX_AGE = 60000 };

/* A speed view in words: gens of each partition as { run, start, next } until a run of -1; every offset of a
 * generation counts as one order, of day = its offset / 1000, so that a hole or a double count shows in the
 * sums. */
struct world {
	struct speed_partition parts[PARTS_MAX];
	struct speed_generation gens[PARTS_MAX][GENS_MAX];
	int n_parts;
};

static void world_init(struct world *world)
{
	memset(world, 0, sizeof(*world));
	for (int p = 0; p < PARTS_MAX; p++) {
		world->parts[p].gens = world->gens[p];
		world->parts[p].latest_event_ms = DATETIME_NONE;
		for (int g = 0; g < GENS_MAX; g++) {
			table_init(&world->gens[p][g].days, sizeof(struct view_day),
				sizeof(struct view_day_key));
			table_init(&world->gens[p][g].duplicates, sizeof(struct view_duplicates),
				sizeof(int32_t));
			table_init(&world->gens[p][g].late, sizeof(struct late_day), sizeof(struct late_key));
		}
	}
}

static void world_release(struct world *world)
{
	for (int p = 0; p < PARTS_MAX; p++) {
		for (int g = 0; g < GENS_MAX; g++) {
			table_release(&world->gens[p][g].days);
			table_release(&world->gens[p][g].duplicates);
			table_release(&world->gens[p][g].late);
		}
	}
}

static void world_forget(struct world *world, int partition)
{
	world->parts[partition].there = false;
	world->parts[partition].n_gens = 0;
}

static void world_add(struct world *world, int partition, int64_t run, int64_t start, int64_t next)
{
	struct speed_partition *part = &world->parts[partition];
	struct speed_generation *gen = &world->gens[partition][part->n_gens++];

	part->there = true;
	if (partition >= world->n_parts)
		world->n_parts = partition + 1;
	gen->range = (struct generation){ run, start, next };
	table_clear(&gen->days);
	table_clear(&gen->duplicates);
	for (int64_t offset = start; offset < next; offset++)
		assert_int_equal(view_days_add(&gen->days, (struct view_day_key){ (int32_t)offset, 0 },
					 &(struct revenue){ .gross_e4 = 10000, .orders = 1 }),
			0);
}

/* cuts: next offsets, -1: not known; the run holds one order for each offset below. */
static struct batch_view *batch(
	int64_t publication, int64_t run, bool rollback, int n_cuts, const int64_t *cuts)
{
	struct batch_view *view = batch_view_new();

	view->publication = publication;
	view->run = run;
	view->rollback = rollback;
	view->n_cuts = n_cuts;
	view->cuts = calloc((size_t)n_cuts + 1, sizeof(*view->cuts));
	for (int i = 0; i < n_cuts; i++) {
		view->cuts[i] = (struct view_cut){ cuts[i], DATETIME_NONE };
		for (int64_t offset = 0; offset < cuts[i]; offset++)
			assert_int_equal(
				view_days_add(&view->days, (struct view_day_key){ (int32_t)offset, 0 },
					&(struct revenue){ .gross_e4 = 10000, .orders = 1 }),
				0);
	}
	return view;
}

/* Every offset below the coverage counts once per partition, and nothing else counts. */
static void assert_exact(const struct picture *picture)
{
	int64_t sum = 0, expected = 0;

	for (size_t i = 0; i < picture->batch->days.n; i++)
		sum += ((struct view_day *)table_at(&picture->batch->days, i))->revenue.orders;
	for (size_t i = 0; i < picture->days.n; i++)
		sum += ((struct view_day *)table_at(&picture->days, i))->revenue.orders;
	for (int i = 0; i < picture->n_parts; i++)
		expected += picture->parts[i].coverage;
	assert_int_equal(sum, expected);
}

static struct picture *picture_of(struct world *world, struct batch_view *const *views, size_t n, int64_t now)
{
	struct picture *picture = merge_picture(views, n, world->parts, world->n_parts, true, now);

	assert_non_null(picture);
	assert_exact(picture);
	return picture;
}

/* The newest run that joins in every partition. */
static void test_choice(void **state)
{
	struct world world;
	struct batch_view *q = batch(1, 1, false, 2, (int64_t[]){ 10, 20 }),
			  *r = batch(2, 2, false, 2, (int64_t[]){ 15, 25 });
	struct batch_view *views[] = { r, q };
	struct picture *picture;

	(void)state;
	world_init(&world);
	world_add(&world, 0, 1, 10, 15); /* sealed by run 2 in both */
	world_add(&world, 0, 2, 15, 18);
	world_add(&world, 1, 1, 20, 25);
	world_add(&world, 1, 2, 25, 25);
	picture = picture_of(&world, views, 2, 0);
	assert_int_equal(picture->batch->run, 2);
	assert_true(picture->whole);
	assert_int_equal(picture->parts[0].coverage, 18);
	assert_int_equal(picture->parts[1].coverage, 25);
	picture_unref(picture);

	world_forget(&world, 1); /* sealed in partition 0 only: the older one, no offset twice */
	world_add(&world, 1, 1, 20, 27);
	picture = picture_of(&world, views, 2, 0);
	assert_int_equal(picture->batch->run, 1);
	assert_int_equal(picture->parts[1].coverage, 27);
	picture_unref(picture);

	picture = picture_of(&world, views, 1, 0); /* the older one was never loaded */
	assert_false(picture->whole);
	assert_int_equal(picture->batch->run, 2);
	assert_int_equal(picture->parts[1].join, MERGE_APART);
	assert_int_equal(picture->parts[1].coverage, 25);
	picture_unref(picture);

	world_forget(&world, 1); /* speed has not reached the cut: the batch alone is more, and exact */
	world_add(&world, 1, 1, 20, 23);
	picture = picture_of(&world, views, 2, 0);
	assert_true(picture->whole);
	assert_int_equal(picture->batch->run, 2);
	assert_int_equal(picture->parts[1].join, MERGE_AHEAD);
	assert_int_equal(picture->parts[1].coverage, 25);
	picture_unref(picture);

	world_forget(&world, 1); /* no state: up to the cut */
	picture = picture_of(&world, views, 2, 0);
	assert_false(picture->whole);
	assert_int_equal(picture->parts[1].join, MERGE_ABSENT);
	assert_int_equal(picture->parts[1].coverage, 25);
	picture_unref(picture);
	batch_view_unref(q);
	batch_view_unref(r);
	world_release(&world);
}

/* A run that is complete waits to be published by hand; every later one waits too, and opens a generation. */
static void test_many_generations(void **state)
{
	struct world world;
	struct batch_view *q = batch(1, 1, false, 1, (int64_t[]){ 10 });
	struct picture *picture;

	(void)state;
	world_init(&world);
	for (int i = 0; i < GENS_MAX; i++)
		world_add(&world, 0, 1 + i, 10 + i, 11 + i);
	picture = picture_of(&world, &q, 1, 0);
	assert_true(picture->whole);
	assert_int_equal(picture->parts[0].coverage, 10 + GENS_MAX);
	picture_unref(picture);
	batch_view_unref(q);
	world_release(&world);
}

static void test_before_first_run(void **state)
{
	struct world world;
	struct batch_view *none = batch_view_new();
	struct picture *picture;

	(void)state;
	world_init(&world);
	picture = picture_of(&world, &none, 1, 0);
	assert_true(picture->whole);
	assert_int_equal(picture->n_parts, 0);
	picture_unref(picture);
	world_add(&world, 0, 0, 0, 7);
	world_add(&world, 1, 0, 0, 0);
	picture = picture_of(&world, &none, 1, 0);
	assert_true(picture->whole);
	assert_int_equal(picture->parts[0].coverage, 7);
	picture_unref(picture);
	world_add(&world, 0, 3, 7, 9); /* a run sealed it, and nothing is published yet */
	picture = picture_of(&world, &none, 1, 0);
	assert_true(picture->whole);
	assert_int_equal(picture->parts[0].coverage, 9);
	picture_unref(picture);
	batch_view_unref(none);
	world_release(&world);
}

/* A partition that the run did not know begins where its generation does. */
static void test_added_partition(void **state)
{
	struct world world;
	struct batch_view *r = batch(1, 1, false, 1, (int64_t[]){ 5 });
	struct picture *picture;

	(void)state;
	world_init(&world);
	world_add(&world, 0, 1, 5, 6);
	world_add(&world, 1, 1, 0, 4);
	picture = picture_of(&world, &r, 1, 0);
	assert_true(picture->whole);
	assert_int_equal(picture->parts[1].coverage, 4);
	picture_unref(picture);
	batch_view_unref(r);
	world_release(&world);
}

static void test_batch_alone(void **state)
{
	struct world world;
	struct batch_view *r = batch(1, 1, false, 1, (int64_t[]){ 5 });
	struct picture *picture;

	(void)state;
	world_init(&world);
	world_add(&world, 0, 1, 5, 6);
	picture = merge_picture(&r, 1, world.parts, 1, false, 0);
	assert_exact(picture);
	assert_false(picture->speed);
	assert_int_equal(picture->parts[0].coverage, 5);
	assert_int_equal(picture->days.n, 0);
	picture_unref(picture);
	batch_view_unref(r);
	world_release(&world);
}

static void test_lost(void **state)
{
	struct world world;
	struct batch_view *r = batch(2, 2, false, 1, (int64_t[]){ 5 });
	struct speed_lost lost[] = { { 1, 2, 3 }, { 2, 6, 8 } };
	struct picture *picture;

	(void)state;
	world_init(&world);
	world_add(&world, 0, 1, 1, 5);
	world_add(&world, 0, 2, 5, 9);
	world.parts[0].lost = lost;
	world.parts[0].n_lost = 2;
	picture = merge_picture(&r, 1, world.parts, 1, true, 0);
	assert_int_equal(picture->n_lost, 1); /* the run covers the other one */
	assert_int_equal(picture->lost[0].from, 6);
	assert_int_equal(picture->lost[0].to, 8);
	picture_unref(picture);
	batch_view_unref(r);
	world_release(&world);
}

static int64_t shown_coverage(const struct merge_memory *memory)
{
	return memory->shown->parts[0].coverage;
}

/* What is shown does not go back, but for a rollback, a speed view that is away, and after max_age. */
static void test_memory(void **state)
{
	struct world world;
	struct merge_memory memory = { 0 };
	struct batch_view *q = batch(1, 1, false, 1, (int64_t[]){ 10 }),
			  *r = batch(2, 2, false, 1, (int64_t[]){ 15 });
	struct batch_view *back = batch(3, 1, true, 1, (int64_t[]){ 10 });
	struct batch_view *views[] = { r, q };

	(void)state;
	world_init(&world);
	world_add(&world, 0, 1, 10, 18);
	merge_show(&memory, picture_of(&world, &q, 1, 0), 0, MAX_AGE);
	assert_int_equal(shown_coverage(&memory), 18);

	world_forget(&world, 0); /* started again at the cut of a run that is not loaded yet */
	world_add(&world, 0, 2, 15, 16);
	merge_show(&memory, picture_of(&world, &q, 1, 1000), 1000, MAX_AGE);
	assert_int_equal(shown_coverage(&memory), 18);
	merge_show(
		&memory, picture_of(&world, views, 2, 2000), 2000, MAX_AGE); /* loaded, but not as far yet */
	assert_int_equal(shown_coverage(&memory), 18);
	assert_int_equal(memory.shown->batch->run, 1);
	merge_show(&memory, picture_of(&world, views, 2, MAX_AGE), MAX_AGE,
		MAX_AGE); /* it has lasted too long */
	assert_int_equal(shown_coverage(&memory), 16);
	assert_int_equal(memory.known[0], 18);
	world_forget(&world, 0);
	world_add(&world, 0, 2, 15, 21);
	merge_show(&memory, picture_of(&world, views, 2, MAX_AGE + 1), MAX_AGE + 1, MAX_AGE);
	assert_int_equal(shown_coverage(&memory), 21);
	assert_int_equal(memory.known[0], 21);

	merge_show(&memory, merge_picture(views, 2, NULL, 0, false, MAX_AGE + 2), MAX_AGE + 2,
		MAX_AGE); /* away */
	assert_int_equal(shown_coverage(&memory), 15);
	merge_show(&memory, picture_of(&world, views, 2, MAX_AGE + 3), MAX_AGE + 3, MAX_AGE);
	assert_int_equal(shown_coverage(&memory), 21);

	views[1] = r;
	views[0] = back;
	merge_show(&memory, picture_of(&world, views, 2, MAX_AGE + 4), MAX_AGE + 4,
		MAX_AGE); /* speed has not adopted it */
	assert_int_equal(shown_coverage(&memory), 21);
	assert_int_equal(memory.shown->batch->run, 2);
	world_forget(&world, 0);
	world_add(&world, 0, 1, 10, 11); /* a rollback says so: at once */
	merge_show(&memory, picture_of(&world, views, 2, MAX_AGE + 5), MAX_AGE + 5, MAX_AGE);
	assert_int_equal(shown_coverage(&memory), 11);
	assert_int_equal(memory.shown->batch->run, 1);
	world_forget(&world, 0);
	world_add(&world, 0, 1, 10, 10); /* but only once */
	merge_show(&memory, picture_of(&world, views, 2, MAX_AGE + 6), MAX_AGE + 6, MAX_AGE);
	assert_int_equal(shown_coverage(&memory), 11);

	merge_memory_release(&memory);
	batch_view_unref(q);
	batch_view_unref(r);
	batch_view_unref(back);
	world_release(&world);
}

/* Random hand-overs by the protocol's steps: whatever is picked as whole is exact, and what is shown never
 * goes back. */
static void test_random(void **state)
{
	struct unit_random random = { unit_seed("merge") };

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct world world;
		struct merge_memory memory = { 0 };
		struct batch_view *views[3] = { batch_view_new() };
		size_t n_views = 1;
		int64_t run = 0, publication = 0, cuts[2] = { 0 }, shown[2] = { 0 };

		world_init(&world);
		world_add(&world, 0, 0, 0, 0);
		world_add(&world, 1, 0, 0, 0);
		for (int step = 0; step < 40; step++) {
			int p = (int)unit_random_below(&random, 2);
			struct speed_partition *part = &world.parts[p];
			struct generation open = part->gens[part->n_gens - 1].range;

			switch (unit_random_below(&random, 4)) {
			case 0: /* a seal of the next run, in both, at what each has; then its publication */
				if (world.parts[0].n_gens == GENS_MAX || world.parts[1].n_gens == GENS_MAX ||
					n_views == 3)
					break;
				run++;
				for (p = 0; p < 2; p++) {
					cuts[p] = world.parts[p].gens[world.parts[p].n_gens - 1].range.next;
					world_add(&world, p, run, cuts[p], cuts[p]);
				}
				for (size_t i = n_views++; i > 0; i--)
					views[i] = views[i - 1];
				views[0] = batch(++publication, run, false, 2, cuts);
				break;
			case 1: /* state lost, and started again at the published cut */
				world_forget(&world, p);
				world_add(&world, p, run, cuts[p], cuts[p]);
				break;
			default: /* a flush */
				part->n_gens--;
				world_add(&world, p, open.run, open.start,
					open.next + unit_random_below(&random, 4));
			}
			merge_show(&memory, picture_of(&world, views, n_views, step), step, MAX_AGE);
			for (p = 0; p < memory.shown->n_parts; p++) {
				assert_true(memory.shown->parts[p].coverage >= shown[p]);
				shown[p] = memory.shown->parts[p].coverage;
			}
			assert_exact(memory.shown);
		}
		merge_memory_release(&memory);
		for (size_t i = 0; i < n_views; i++)
			batch_view_unref(views[i]);
		world_release(&world);
	}
}

static void test_overflow(void **state)
{
	struct world world;
	struct batch_view *none = batch_view_new();
	struct view_day *day;

	(void)state;
	world_init(&world);
	world_add(&world, 0, 0, 0, 1);
	world_add(&world, 1, 0, 0, 1);
	for (int p = 0; p < 2; p++) {
		day = table_at(&world.gens[p][0].days, 0);
		day->revenue.gross_e4 = INT64_MAX;
	}
	assert_null(merge_picture(&none, 1, world.parts, 2, true, 0));
	batch_view_unref(none);
	world_release(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_many_generations),
		cmocka_unit_test(test_before_first_run),
		cmocka_unit_test(test_added_partition),
		cmocka_unit_test(test_batch_alone),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
