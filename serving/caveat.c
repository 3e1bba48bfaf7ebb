#include "common/base.h"
#include "serving/caveat.h"

#include <stdarg.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

struct caveat {
	char *buf;
	size_t len;
};

static void caveat_add(struct caveat *caveat, const char *format, ...) PRINTF_LIKE(2, 3);

static void caveat_add(struct caveat *caveat, const char *format, ...)
{
	va_list ap;
	int len;

	if (caveat->len)
		caveat->len += (size_t)snprintf(caveat->buf + caveat->len, CAVEAT_MAX - caveat->len, "; ");
	va_start(ap, format);
	len = vsnprintf(caveat->buf + caveat->len, CAVEAT_MAX - caveat->len, format, ap);
	va_end(ap);
	caveat->len += (size_t)len;
	assert(caveat->len < CAVEAT_MAX);
}

/* "8 h"; rounded to the nearest. */
static const char *age_words(int64_t ms, char buf[32])
{
	int64_t age = ms > 0 ? ms : 0;

	if (age < 90 * SECOND)
		snprintf(buf, 32, "%" PRId64 " s", (age + SECOND / 2) / SECOND);
	else if (age < 90 * (int64_t)MINUTE)
		snprintf(buf, 32, "%" PRId64 " min", (age + MINUTE / 2) / MINUTE);
	else if (age < 48 * (int64_t)HOUR)
		snprintf(buf, 32, "%" PRId64 " h", (age + HOUR / 2) / HOUR);
	else
		snprintf(buf, 32, "%" PRId64 " d", (age + DAY / 2) / DAY);
	return buf;
}

static bool caveat_concerns(const struct question *question, int32_t day, int currency)
{
	return day >= question->from && day <= question->to &&
	       (question->currency < 0 || question->currency == currency);
}

static int64_t caveat_excluded(const struct snapshot *snapshot, const struct question *question)
{
	const struct table *excluded = &snapshot->picture->excluded;
	int64_t n = 0;

	for (size_t i = 0; i < excluded->n; i++) {
		const struct late_day *late = table_at(excluded, i);

		if (caveat_concerns(question, late->key.day, late->key.currency))
			n += late->events;
	}
	return n;
}

bool caveat_has_provisional(const struct snapshot *snapshot, const struct question *question)
{
	const struct table *days = &snapshot->picture->days;

	for (size_t i = 0; i < days->n; i++) {
		const struct view_day *day = table_at(days, i);

		if (caveat_concerns(question, day->key.day, day->key.currency))
			return true;
	}
	return caveat_excluded(snapshot, question) > 0;
}

static void add_provisional(
	struct caveat *caveat, const struct snapshot *snapshot, const struct question *question)
{
	const struct batch_view *batch = snapshot->picture->batch;
	char age[32];

	if (snapshot->picture->kappa.id) {
		caveat_add(caveat, "kappa view, version %s: no batch run confirms these orders",
			snapshot->picture->kappa.version);
		return;
	}
	if (question->view == QUESTION_BATCH) {
		if (!batch->publication)
			caveat_add(caveat, "confirmed orders only, and no batch run has confirmed any yet");
		else if (batch->cut_time_ms == DATETIME_NONE)
			caveat_add(caveat,
				"confirmed orders only: those that had arrived at the last batch run");
		else
			caveat_add(caveat, "confirmed orders only: those that had arrived %s ago",
				age_words(snapshot->as_of_ms - batch->cut_time_ms, age));
		return;
	}
	if (question->view == QUESTION_SPEED)
		caveat_add(caveat, "provisional orders only: those that arrived since the last batch run");
	if (!caveat_has_provisional(snapshot, question))
		return;
	if (!batch->publication)
		caveat_add(caveat,
			"no batch run yet: all orders are provisional; the first batch run confirms them");
	else if (batch->cut_time_ms == DATETIME_NONE)
		caveat_add(caveat, "includes provisional orders; the next batch run confirms them");
	else
		caveat_add(caveat, "includes %s of provisional orders; the next batch run confirms them",
			age_words(snapshot->as_of_ms - batch->cut_time_ms, age));
}

static void add_rollback(struct caveat *caveat, const struct snapshot *snapshot)
{
	const struct batch_view *batch = snapshot->picture->batch;

	if (batch->rollback)
		caveat_add(caveat, "batch run %" PRId64 " was rolled back to run %" PRId64, batch->taken_back,
			batch->run);
}

static void add_excluded(
	struct caveat *caveat, const struct snapshot *snapshot, const struct question *question)
{
	int64_t n = question->view == QUESTION_BATCH ? 0 : caveat_excluded(snapshot, question);

	if (n)
		caveat_add(caveat, "%" PRId64 " late order%s left out%s", n, n == 1 ? " is" : "s are",
			snapshot->picture->kappa.id ? ""
			: n == 1                    ? "; the next batch run brings it back"
						    : "; the next batch run brings them back");
}

static void add_lag(struct caveat *caveat, const struct snapshot *snapshot, const struct question *question)
{
	int64_t n = snapshot->lag_events;
	char age[32];

	if (question->view == QUESTION_BATCH || n <= 0 || snapshot->lag_ms <= CAVEAT_LAG_MS)
		return;
	caveat_add(caveat, "the speed layer is %s behind: %" PRId64 " order%s",
		age_words(snapshot->lag_ms, age), n, n == 1 ? " waits" : "s wait");
}

static void add_held(struct caveat *caveat, const struct snapshot *snapshot, const struct question *question)
{
	int64_t n = snapshot->held_events;
	char age[32];

	if (question->view == QUESTION_BATCH || n <= 0 || snapshot->held_ms <= CAVEAT_LAG_MS)
		return;
	caveat_add(caveat,
		"a producer's open transaction has held back %" PRId64
		" record%s for %s: %s counted when it ends",
		n, n == 1 ? "" : "s", age_words(snapshot->held_ms, age), n == 1 ? "it is" : "they are");
}

bool caveat_write(const struct snapshot *snapshot, const struct question *question, char buf[CAVEAT_MAX])
{
	struct caveat caveat = { buf, 0 };
	bool kappa = snapshot->picture->kappa.id;
	unsigned degraded = snapshot->degraded;
	char age[32];

	add_provisional(&caveat, snapshot, question);
	add_rollback(&caveat, snapshot);
	add_excluded(&caveat, snapshot, question);
	add_lag(&caveat, snapshot, question);
	add_held(&caveat, snapshot, question);
	if (degraded & 1u << DEGRADED_SPEED_SILENT)
		caveat_add(&caveat, "the speed layer gives no sign of life: newer orders may be missing");
	if (degraded & 1u << DEGRADED_SPEED_STALE)
		caveat_add(&caveat,
			kappa ? "these numbers are %s old: the kappa view cannot be asked"
			      : "the provisional part is %s old: the speed view cannot be asked or is being "
				"rebuilt",
			age_words(snapshot->stale_ms, age));
	if (degraded & 1u << DEGRADED_SPEED_UNAVAILABLE)
		caveat_add(&caveat, "the speed view cannot be asked: %s",
			snapshot->picture->batch->publication
				? "orders since the last batch run are missing"
				: "all orders are missing, for no batch run has confirmed any yet");
	if (degraded & 1u << DEGRADED_BATCH_UNAVAILABLE)
		caveat_add(&caveat,
			"the batch view cannot be asked: a newer batch run may have corrected these numbers");
	if (degraded & 1u << DEGRADED_REBUILDING)
		caveat_add(&caveat, "the speed view is being rebuilt: orders at the offsets in 'missing' are "
				    "not included yet");
	if (degraded & 1u << DEGRADED_LOST_EVENTS)
		caveat_add(&caveat,
			"the log dropped events before they were read: those at the offsets in 'missing'");
	if (degraded & 1u << DEGRADED_TRUNCATED_HISTORY)
		caveat_add(&caveat, "the log's oldest events were gone before %s could read them",
			kappa ? "this version" : "a batch run");
	return caveat.len > 0;
}
