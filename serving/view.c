#include "common/base.h"
#include "serving/view.h"

#include "common/mem.h"

struct batch_view *batch_view_new(void)
{
	struct batch_view *view = xcalloc(1, sizeof(*view));

	view->refs = 1;
	view->customers_from_ms = TALLY_NO_CUSTOMERS;
	table_init(&view->days, sizeof(struct view_day), sizeof(struct view_day_key));
	table_init(&view->late, sizeof(struct late_day), sizeof(struct late_key));
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
	table_release(&view->late);
	ranges_release(&view->lost);
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

int view_late_add(struct table *late, const struct late_day *more)
{
	bool is_new;

	return late_day_add(table_put(late, &more->key, &is_new), more);
}

void view_duplicates_add(struct table *duplicates, int32_t day, int64_t n)
{
	bool is_new;
	struct view_duplicates *sum = table_put(duplicates, &day, &is_new);

	sum->n += n;
}
