/* Per business day and currency, with S what speed said, S' what its rules give, for [base's cut, new cut):
 *   before = base stored + S        after = the new run
 *   after - before = (base again - base stored)                       recomputed
 *                  + (what S' counts and the run does not, negative)  duplicate_...
 *                  + (what S' leaves out and the run counts)          late_excluded
 *                  + (S' - S)                                         recomputed, or unexplained
 * The run's own numbers enter by `after` and, independently, by the duplicates that it found: so the sum is a
 * control. */
#include "common/base.h"
#include "batch/corrections.h"

#include "common/kernel/datetime.h"
#include "common/kernel/money.h"

static const char *const correction_codes[] = {
#define X(name, code) code,
	CORRECTION_CAUSES(X)
#undef X
};

const char *correction_cause_code(enum correction_cause cause)
{
	return correction_codes[cause];
}

static int correction_explain(
	struct correction *c, enum correction_cause cause, int64_t net_e4, int64_t events)
{
	c->events[cause] += events;
	return money_add(c->net_e4[cause], net_e4, &c->net_e4[cause]);
}

/* S' - S of one partition goes to the causes, S to before. */
static int correction_speed_entry(
	struct correction *c, const struct correction_speed *speed, enum ledger_kind kind, int64_t net_e4)
{
	enum correction_cause cause = speed->other_fold ? CORRECTION_RECOMPUTED : CORRECTION_UNEXPLAINED;

	if (!speed->known)
		return kind == LEDGER_EXPECTED ? money_add(c->before_e4, net_e4, &c->before_e4) : 0;
	if (kind == LEDGER_EXPECTED)
		return correction_explain(c, cause, net_e4, 0);
	return money_add(c->before_e4, net_e4, &c->before_e4) || correction_explain(c, cause, -net_e4, 0) ? -1
													  : 0;
}

static int correction_entry(
	struct correction *c, const struct ledger_entry *entry, const struct correction_speed *speed)
{
	int64_t net_e4 = entry->net_e4;

	switch ((enum ledger_kind)entry->key.kind) {
	case LEDGER_BASE_STORED:
		return money_add(c->before_e4, net_e4, &c->before_e4) ||
				       correction_explain(c, CORRECTION_RECOMPUTED, -net_e4, 0)
			       ? -1
			       : 0;
	case LEDGER_BASE_AGAIN:
		return correction_explain(c, CORRECTION_RECOMPUTED, net_e4, 0);
	case LEDGER_EXPECTED:
	case LEDGER_SAID:
		return correction_speed_entry(
			c, &speed[entry->key.partition], (enum ledger_kind)entry->key.kind, net_e4);
	case LEDGER_AFTER:
		return money_add(c->after_e4, net_e4, &c->after_e4);
	case LEDGER_BEYOND_HORIZON:
		return correction_explain(c, CORRECTION_DUPLICATE_BEYOND_HORIZON, net_e4, entry->events);
	case LEDGER_OTHER_PARTITION:
		return correction_explain(c, CORRECTION_DUPLICATE_OTHER_PARTITION, net_e4, entry->events);
	case LEDGER_LATE_EXCLUDED:
		return correction_explain(c, CORRECTION_LATE_EXCLUDED, net_e4, entry->events);
	}
	assert(0 && "a kind without a case");
	return -1;
}

static bool correction_is_needed(const struct correction *c)
{
	bool needed = c->before_e4 != c->after_e4;

	for (int i = 0; i < CORRECTION_N_CAUSES; i++)
		needed |= c->net_e4[i] || c->events[i];
	return needed;
}

static int correction_check(const struct correction *c, struct err *err)
{
	__int128 sum = (__int128)c->before_e4 - c->after_e4;
	char day[DATE_TEXT_MAX];

	for (int i = 0; i < CORRECTION_N_CAUSES; i++)
		sum += c->net_e4[i];
	if (!sum)
		return 0;
	date_format(c->day, day);
	return err_set(err, ERR_INTERNAL,
		"the causes of the correction of %s do not add up (by %" PRId64 " / 10000)", day,
		(int64_t)sum);
}

static_assert(offsetof(struct correction, currency) == 4, "no padding in a key");

int corrections_make(const struct ledger *ledger, const struct correction_speed *speed, int n_partitions,
	struct table *ret_corrections, struct err *err)
{
	struct table all, needed;
	int failed = 0;
	bool new;

	table_init(&all, sizeof(struct correction), 2 * sizeof(int32_t));
	table_init(&needed, sizeof(struct correction), 2 * sizeof(int32_t));
	for (size_t i = 0; i < ledger->entries.n && !failed; i++) {
		const struct ledger_entry *entry = table_at(&ledger->entries, i);

		assert(entry->key.partition < n_partitions);
		failed = correction_entry(table_put(&all, &entry->key, &new), entry, speed);
		if (failed)
			err_set(err, ERR_DATA, "a correction exceeds 64 bits");
	}
	for (size_t i = 0; i < all.n && !failed; i++) {
		const struct correction *c = table_at(&all, i);

		failed = correction_check(c, err);
		if (correction_is_needed(c))
			memcpy(table_put(&needed, c, &new), c, sizeof(*c));
	}
	table_release(&all);
	if (failed) {
		table_release(&needed);
		return -1;
	}
	*ret_corrections = needed;
	return 0;
}
