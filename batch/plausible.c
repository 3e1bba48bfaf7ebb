#include "common/base.h"
#include "batch/plausible.h"

#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/kernel/money.h"

/* What the published run said of the log below its cut, and what this one makes of it. */
struct plausible_sum {
	int32_t day, currency; /* the key */
	int64_t stored_e4, again_e4, events;
};

/* a > percent of b, without overflow */
static bool plausible_exceeds(int64_t a, int64_t percent, int64_t b)
{
	return (__int128)a * 100 > (__int128)b * percent;
}

static int64_t plausible_size(int64_t e4)
{
	return e4 < 0 ? -e4 : e4;
}

static bool plausible_sum_changed(const struct plausible *p, const struct plausible_sum *sum)
{
	__int128 change = (__int128)sum->again_e4 - sum->stored_e4;

	return sum->events >= PLAUSIBLE_EVENTS_MIN &&
	       (change < 0 ? -change : change) * 100 >
		       (__int128)plausible_size(sum->stored_e4) * p->max_change;
}

static void plausible_say(const struct plausible *p, const struct plausible_sum *sum, const char *what,
	size_t n_more, char why[PLAUSIBLE_WHY_MAX])
{
	char before[MONEY_TEXT_MAX], after[MONEY_TEXT_MAX], more[40] = "";
	unsigned decimals = currency_decimals(sum->currency);

	money_format(sum->stored_e4, decimals, before);
	money_format(sum->again_e4, decimals, after);
	if (n_more)
		snprintf(more, sizeof(more), ", and so do %zu more", n_more);
	snprintf(why, PLAUSIBLE_WHY_MAX,
		"%s changes by more than %" PRId64
		" %%: the published run said %s %s, this one makes %s of the same events%s",
		what, p->max_change, before, currency_code(sum->currency), after, more);
}

static void plausible_add(struct table *sums, int32_t day, const struct ledger_entry *entry)
{
	const int32_t key[2] = { day, entry->key.currency };
	bool new;
	struct plausible_sum *sum = table_put(sums, key, &new);
	int64_t *member = entry->key.kind == LEDGER_BASE_STORED ? &sum->stored_e4 : &sum->again_e4;

	if (money_add(*member, entry->net_e4, member)) /* only a sum of all days can be too large */
		*member = entry->net_e4 < 0 ? -INT64_MAX : INT64_MAX;
	if (entry->key.kind == LEDGER_BASE_STORED)
		sum->events += entry->events;
}

static_assert(offsetof(struct plausible_sum, currency) == 4, "no padding in a key");

/* All days of a currency are the day INT32_MAX. */
static bool plausible_days(const struct plausible *p, char why[PLAUSIBLE_WHY_MAX])
{
	const struct plausible_sum *found = NULL;
	struct table sums;
	char day[DATE_TEXT_MAX];
	size_t n = 0;

	table_init(&sums, sizeof(struct plausible_sum), 2 * sizeof(int32_t));
	for (size_t i = 0; i < p->ledger->entries.n; i++) {
		const struct ledger_entry *entry = table_at(&p->ledger->entries, i);

		if (entry->key.kind != LEDGER_BASE_STORED && entry->key.kind != LEDGER_BASE_AGAIN)
			continue;
		plausible_add(&sums, entry->key.day, entry);
		plausible_add(&sums, INT32_MAX, entry);
	}
	for (size_t i = 0; i < sums.n; i++) {
		const struct plausible_sum *sum = table_at(&sums, i);

		if (!plausible_sum_changed(p, sum))
			continue;
		n += sum->day != INT32_MAX;
		if (!found || sum->day < found->day)
			found = sum;
	}
	if (found && found->day == INT32_MAX) {
		plausible_say(p, found, "the sum of all days", 0, why);
	} else if (found) {
		date_format(found->day, day);
		plausible_say(p, found, day, n - 1, why);
	}
	table_release(&sums);
	return !found;
}

static bool plausible_rejected(const struct plausible *p, char why[PLAUSIBLE_WHY_MAX])
{
	int64_t records = p->counters->records - p->base_records;
	int64_t rejected = counters_rejected(p->counters) - p->base_rejected;
	int64_t before; /* as many as there would be by the published run's share */

	if (rejected < PLAUSIBLE_EVENTS_MIN)
		return true;
	before = p->base_records ? (int64_t)((__int128)p->base_rejected * records / p->base_records) : 0;
	if (!plausible_exceeds(rejected - before, p->max_change, records))
		return true;
	snprintf(why, PLAUSIBLE_WHY_MAX,
		"%" PRId64 " more records are rejected, of %" PRId64
		" that are new; in the published run it was %" PRId64 " of %" PRId64,
		rejected, records, p->base_rejected, p->base_records);
	return false;
}

static bool plausible_explained(const struct plausible *p, char why[PLAUSIBLE_WHY_MAX])
{
	char net[MONEY_TEXT_MAX], day[DATE_TEXT_MAX];

	for (size_t i = 0; i < p->corrections->n; i++) {
		const struct correction *c = table_at(p->corrections, i);

		if (!c->net_e4[CORRECTION_UNEXPLAINED])
			continue;
		date_format(c->day, day);
		money_format(c->net_e4[CORRECTION_UNEXPLAINED], currency_decimals(c->currency), net);
		snprintf(why, PLAUSIBLE_WHY_MAX,
			"the correction of %s by %s %s is unexplained: what speed answered is not what its "
			"rules give",
			day, net, currency_code(c->currency));
		return false;
	}
	return true;
}

bool plausible_check(const struct plausible *p, char why[PLAUSIBLE_WHY_MAX])
{
	if (!p->shorter && p->counters->records < p->base_records) {
		snprintf(why, PLAUSIBLE_WHY_MAX,
			"history shrinks: it has %" PRId64 " records, the published run had %" PRId64,
			p->counters->records, p->base_records);
		return false;
	}
	return (p->shorter || plausible_days(p, why)) && plausible_rejected(p, why) &&
	       plausible_explained(p, why);
}
