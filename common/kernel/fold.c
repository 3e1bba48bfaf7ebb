#include "common/base.h"
#include "common/kernel/fold.h"

void fold_version(const struct fold_rules *rules, char buf[FOLD_VERSION_MAX])
{
	int len = snprintf(buf, FOLD_VERSION_MAX,
		"k%d;tz=%s;horizon=%" PRId64 "/%" PRId64 ";grace=%" PRId64 ";skew=%" PRId64
		";late=%s;customers=%s",
		KERNEL_VERSION, rules->calendar->zone, rules->horizon_records, rules->horizon_ms,
		rules->grace_ms, rules->max_skew_ms, rules->exclude_late ? "exclude" : "count",
		rules->customers ? "yes" : "no");

	assert(len > 0 && len < FOLD_VERSION_MAX);
}

int fold_version_kernel(const char *version)
{
	int kernel = 0;
	const char *at = version + 1;

	if (*version != 'k' || *at < '0' || *at > '9' || (*at == '0' && at[1] != ';'))
		return -1;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (kernel > 99999)
			return -1;
		kernel = kernel * 10 + (*at - '0');
	}
	return *at == ';' ? kernel : -1;
}

void fold_init(struct fold *fold, const struct fold_rules *rules)
{
	*fold = (struct fold){ .rules = rules, .state = FOLD_STATE_NONE };
	horizon_init(&fold->horizon, rules->horizon_records, rules->horizon_ms);
}

void fold_release(struct fold *fold)
{
	horizon_release(&fold->horizon);
}

bool fold_resume(struct fold *fold, int64_t offset, const struct fold_state *state)
{
	fold->state = *state;
	if (offset >= fold->exact_from && horizon_rewind(&fold->horizon, offset, state->latest_record_ms))
		return true;
	fold->exact_from = offset;
	return false;
}

void fold_warm(struct fold *fold, int64_t offset, int64_t record_ms, const struct event *event)
{
	if (event)
		horizon_see(&fold->horizon, offset, record_ms, event_id_hash(event->event_id));
	else
		horizon_pass(&fold->horizon, offset, record_ms);
}

void fold_skip(struct fold *fold, int64_t offset)
{
	horizon_skip(&fold->horizon, offset);
}

/* How far event time was ahead of a late event; 0: it is not late. */
static int64_t fold_late_ms(const struct fold_rules *rules, int64_t time_ms, int64_t latest_event_ms)
{
	int64_t bucket_end_ms = (time_ms / MINUTE_MS + 1) * MINUTE_MS;

	if (latest_event_ms == DATETIME_NONE || bucket_end_ms + rules->grace_ms > latest_event_ms)
		return 0;
	return latest_event_ms - time_ms;
}

enum verdict fold_record(struct fold *fold, int64_t offset, int64_t record_ms, const struct event *event,
	enum event_reject reject, struct counters *counters, int64_t *ret_late_ms)
{
	struct fold_state *state = &fold->state;
	enum verdict verdict = VERDICT_REJECTED;

	*ret_late_ms = 0;
	counters->records++;
	if (fold->horizon.latest_record_ms < state->latest_record_ms)
		fold->horizon.latest_record_ms = state->latest_record_ms;
	if (!event) {
		assert(reject != EVENT_OK);
		counters->rejected[reject]++;
		horizon_pass(&fold->horizon, offset, record_ms);
	} else if (horizon_see(&fold->horizon, offset, record_ms, event_id_hash(event->event_id))) {
		verdict = VERDICT_DUPLICATE;
		counters->duplicate++;
	} else {
		*ret_late_ms = fold_late_ms(fold->rules, event->time_ms, state->latest_event_ms);
		verdict = *ret_late_ms && fold->rules->exclude_late ? VERDICT_EXCLUDED : VERDICT_COUNTED;
		counters->late += *ret_late_ms != 0;
		counters->counted += verdict == VERDICT_COUNTED;
		counters->excluded += verdict == VERDICT_EXCLUDED;
	}
	if (event && event->time_ms - fold->rules->max_skew_ms <= record_ms &&
		event->time_ms > state->latest_event_ms)
		state->latest_event_ms = event->time_ms;
	state->latest_record_ms = fold->horizon.latest_record_ms;
	return verdict;
}
