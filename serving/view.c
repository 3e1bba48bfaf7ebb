#include "common/base.h"
#include "serving/view.h"

#include "common/mem.h"

struct batch_view *batch_view_new(void)
{
	struct batch_view *view = xcalloc(1, sizeof(*view));

	view->refs = 1;
	table_init(&view->days, sizeof(struct view_day), sizeof(struct view_day_key));
	return view;
}

struct batch_view *batch_view_ref(struct batch_view *view)
{
	view->refs++;
	return view;
}

void batch_view_unref(struct batch_view *view)
{
	if (!view || --view->refs)
		return;
	table_release(&view->days);
	free(view->cuts);
	free(view->corrections);
	free(view);
}

int view_days_add(struct table *days, struct view_day_key key, const struct revenue *revenue)
{
	bool is_new;
	struct view_day *day = table_put(days, &key, &is_new);

	return revenue_add(&day->revenue, revenue);
}

void view_counts_add(struct table *counts, int32_t day, int64_t duplicates, int64_t late)
{
	bool is_new;
	struct view_count *count = table_put(counts, &day, &is_new);

	count->duplicates += duplicates;
	count->late += late;
}
