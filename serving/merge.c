#include "common/base.h"
#include "serving/merge.h"

#include "common/mem.h"

/* handover_join() on our copies. There may be many: each run that waits or fails has opened one. */
static int join_generations(const struct speed_partition *partition, int64_t run, int64_t cut)
{
	SCOPED(xfreep) struct generation *ranges = xcalloc(partition->n_gens, sizeof(*ranges));

	for (size_t i = 0; i < partition->n_gens; i++)
		ranges[i] = partition->gens[i].range;
	return handover_join(ranges, partition->n_gens, run, cut);
}

/* A partition that the run did not know was added since, or nothing is published at all: its cut is the log's
 * first offset, which is where the run's generation starts. -1: not known. */
static int64_t first_offset(const struct speed_partition *partition, int64_t run)
{
	for (size_t i = 0; i < partition->n_gens; i++)
		if (partition->gens[i].range.run == run)
			return partition->gens[i].range.start;
	return -1;
}

static struct merge_part merge_part(
	const struct batch_view *view, const struct speed_partition *partition, int number)
{
	struct merge_part part = { .join = MERGE_ABSENT, .speed_next = -1, .latest_event_ms = DATETIME_NONE };
	bool known = number < view->n_cuts && view->cuts[number].next >= 0;
	const struct generation *open;
	int first;

	part.cut = known ? view->cuts[number].next : 0;
	part.coverage = part.cut;
	if (known)
		part.latest_event_ms = view->cuts[number].latest_event_ms;
	if (!partition)
		return part;
	part.beat = partition->beat;
	if (!partition->there || !partition->n_gens)
		return part;
	open = &partition->gens[partition->n_gens - 1].range;
	part.speed_next = open->next;
	if (!known && first_offset(partition, view->run) >= 0)
		part.cut = part.coverage = first_offset(partition, view->run);
	first = join_generations(partition, view->run, part.cut);
	if (first >= 0) {
		part.join = MERGE_JOINED;
		part.first_gen = (size_t)first;
		part.coverage = open->next;
		if (partition->latest_event_ms != DATETIME_NONE)
			part.latest_event_ms = partition->latest_event_ms;
	} else {
		part.join =
			known && open->next <= part.cut && open->run < view->run ? MERGE_AHEAD : MERGE_APART;
	}
	return part;
}

static bool merge_parts(const struct batch_view *view, const struct speed_partition *partitions,
	int n_partitions, struct merge_part *parts, int n_parts)
{
	bool whole = true;

	for (int i = 0; i < n_parts; i++) {
		parts[i] = merge_part(view, i < n_partitions ? &partitions[i] : NULL, i);
		whole = whole && (parts[i].join == MERGE_JOINED || parts[i].join == MERGE_AHEAD);
	}
	return whole;
}

static int add_generation(struct picture *picture, const struct speed_generation *gen, bool excludes_late)
{
	for (size_t i = 0; i < gen->days.n; i++) {
		const struct view_day *day = table_at(&gen->days, i);

		if (view_days_add(&picture->days, day->key, &day->revenue))
			return -1;
	}
	for (size_t i = 0; i < gen->late.n; i++) {
		const struct late_day *late = table_at(&gen->late, i);

		if (view_late_add(&picture->late, late) ||
			(excludes_late && view_late_add(&picture->excluded, late)))
			return -1;
	}
	for (size_t i = 0; i < gen->duplicates.n; i++) {
		const struct view_duplicates *duplicates = table_at(&gen->duplicates, i);

		view_duplicates_add(&picture->duplicates, duplicates->day, duplicates->n);
	}
	picture->rejected += gen->rejected;
	return 0;
}

static void add_lost(struct picture *picture, const struct speed_partition *partition, int number)
{
	int64_t from_run = partition->gens[picture->parts[number].first_gen].range.run;

	for (size_t i = 0; i < partition->n_lost; i++) {
		const struct speed_lost *lost = &partition->lost[i];

		if (lost->run < from_run)
			continue;
		picture->lost = xreallocarray(picture->lost, picture->n_lost + 1, sizeof(*picture->lost));
		picture->lost[picture->n_lost++] = (struct merge_range){ number, lost->from, lost->to };
	}
}

static int add_speed(struct picture *picture, const struct speed_partition *partitions)
{
	for (int i = 0; i < picture->n_parts; i++) {
		const struct merge_part *part = &picture->parts[i];

		if (part->join != MERGE_JOINED)
			continue;
		for (size_t g = part->first_gen; g < partitions[i].n_gens; g++)
			if (add_generation(picture, &partitions[i].gens[g], partitions[i].excludes_late))
				return -1;
		add_lost(picture, &partitions[i], i);
	}
	return 0;
}

struct picture *merge_picture(struct batch_view *const *views, size_t n_views,
	const struct speed_partition *partitions, int n_partitions, bool use_speed, int64_t made_ms)
{
	struct picture *picture = xcalloc(1, sizeof(*picture));
	size_t chosen = 0;

	assert(n_views > 0);
	picture->refs = 1;
	picture->speed = use_speed;
	picture->made_ms = made_ms;
	table_init(&picture->days, sizeof(struct view_day), sizeof(struct view_day_key));
	table_init(&picture->duplicates, sizeof(struct view_duplicates), sizeof(int32_t));
	table_init(&picture->late, sizeof(struct late_day), sizeof(struct late_key));
	table_init(&picture->excluded, sizeof(struct late_day), sizeof(struct late_key));
	picture->n_parts = use_speed ? n_partitions : 0;
	for (size_t i = 0; i < n_views; i++)
		if (views[i]->n_cuts > picture->n_parts)
			picture->n_parts = views[i]->n_cuts;
	picture->parts = xcalloc((size_t)picture->n_parts, sizeof(*picture->parts));
	if (!use_speed)
		n_partitions = 0;
	while (use_speed && chosen < n_views && !picture->whole)
		picture->whole = merge_parts(
			views[chosen++], partitions, n_partitions, picture->parts, picture->n_parts);
	chosen = picture->whole ? chosen - 1 : 0;
	if (!picture->whole)
		(void)merge_parts(views[0], partitions, n_partitions, picture->parts, picture->n_parts);
	picture->batch = batch_view_ref(views[chosen]);
	if (use_speed && add_speed(picture, partitions)) {
		picture_unref(picture);
		return NULL;
	}
	return picture;
}

bool picture_joins(const struct picture *picture, int partition, const struct redis_state *state)
{
	const struct merge_part *part = &picture->parts[partition];

	return state->present && !state->broken && redis_state_open(state)->next >= part->coverage &&
	       handover_join(state->generations, state->n_generations, picture->batch->run, part->cut) >= 0;
}

struct picture *picture_ref(struct picture *picture)
{
	picture->refs++;
	return picture;
}

void picture_unref(struct picture *picture)
{
	if (!picture || --picture->refs)
		return;
	batch_view_unref(picture->batch);
	table_release(&picture->days);
	table_release(&picture->duplicates);
	table_release(&picture->late);
	table_release(&picture->excluded);
	free(picture->parts);
	free(picture->lost);
	free(picture);
}

static bool covers_less(const struct picture *picture, const struct picture *than)
{
	for (int i = 0; i < than->n_parts; i++)
		if ((i < picture->n_parts ? picture->parts[i].coverage : 0) < than->parts[i].coverage)
			return true;
	return false;
}

static void remember(struct merge_memory *memory)
{
	const struct picture *shown = memory->shown;

	if (shown->n_parts > memory->n_known) {
		memory->known = xreallocarray(memory->known, (size_t)shown->n_parts, sizeof(*memory->known));
		for (int i = memory->n_known; i < shown->n_parts; i++)
			memory->known[i] = 0;
		memory->n_known = shown->n_parts;
	}
	for (int i = 0; i < shown->n_parts; i++)
		if (memory->known[i] < shown->parts[i].coverage)
			memory->known[i] = shown->parts[i].coverage;
}

struct picture *merge_show(
	struct merge_memory *memory, struct picture *candidate, int64_t now_ms, int64_t max_age_ms)
{
	const struct picture *shown = memory->shown;
	bool declared = shown && candidate->batch->rollback &&
			candidate->batch->publication > shown->batch->publication;

	if (shown && candidate->speed && !declared && covers_less(candidate, shown) &&
		now_ms - shown->made_ms < max_age_ms) {
		picture_unref(candidate);
		return memory->shown;
	}
	picture_unref(memory->shown);
	memory->shown = candidate;
	remember(memory);
	return candidate;
}

void merge_memory_release(struct merge_memory *memory)
{
	picture_unref(memory->shown);
	free(memory->known);
	memset(memory, 0, sizeof(*memory));
}
