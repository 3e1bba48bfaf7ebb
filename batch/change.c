#include "common/base.h"
#include "batch/change.h"

#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/kernel/money.h"
#include "common/mem.h"

struct change {
	int32_t day, currency; /* the key */
	int64_t before_e4, after_e4; /* net, as published and as it would be */
};

static_assert(offsetof(struct change, currency) == 4, "no padding in a key");

static int change_compare(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	if (x->day != y->day)
		return x->day < y->day ? -1 : 1;
	return (x->currency > y->currency) - (x->currency < y->currency);
}

static void change_collect(const struct ledger *ledger, struct table *changes)
{
	for (size_t i = 0; i < ledger->entries.n; i++) {
		const struct ledger_entry *entry = table_at(&ledger->entries, i);
		const int32_t key[2] = { entry->key.day, entry->key.currency };
		struct change *change;
		bool new;

		if (entry->key.kind != LEDGER_BASE_STORED && entry->key.kind != LEDGER_AFTER)
			continue;
		change = table_put(changes, key, &new);
		if (entry->key.kind == LEDGER_BASE_STORED)
			change->before_e4 = entry->net_e4;
		else
			change->after_e4 = entry->net_e4;
	}
}

static void change_part(FILE *out, const char *what, __int128 net_e4, unsigned decimals, bool *any)
{
	char text[MONEY_TEXT_MAX];

	if (!net_e4)
		return;
	money_format((int64_t)net_e4, decimals, text);
	fprintf(out, "%s%s %s%s", *any ? ", " : "  ", what, net_e4 > 0 ? "+" : "", text);
	*any = true;
}

static void change_line(FILE *out, const struct change *change, const struct correction *correction)
{
	unsigned decimals = currency_decimals(change->currency);
	__int128 arrived = (__int128)change->after_e4 - change->before_e4;
	char day[DATE_TEXT_MAX], before[MONEY_TEXT_MAX], after[MONEY_TEXT_MAX];
	bool any = false;

	date_format(change->day, day);
	money_format(change->before_e4, decimals, before);
	money_format(change->after_e4, decimals, after);
	fprintf(out, "%s  %s  %20s -> %20s", day, currency_code(change->currency), before, after);
	for (int i = 0; correction && i < CORRECTION_N_CAUSES; i++)
		arrived -= correction->net_e4[i];
	change_part(out, "arrived", arrived, decimals, &any);
	for (int i = 0; correction && i < CORRECTION_N_CAUSES; i++)
		change_part(out, correction_cause_code((enum correction_cause)i), correction->net_e4[i],
			decimals, &any);
	fputc('\n', out);
}

int change_print(FILE *out, const struct ledger *ledger, const struct table *corrections, struct err *err)
{
	struct table changes;
	size_t n = 0;

	table_init(&changes, sizeof(struct change), 2 * sizeof(int32_t));
	change_collect(ledger, &changes);
	if (changes.n)
		qsort(changes.entries, changes.n, sizeof(struct change), change_compare);
	for (size_t i = 0; i < changes.n; i++) {
		const struct change *change = table_at(&changes, i);
		const struct correction *correction = corrections->n ? table_find(corrections, change) : NULL;

		if (change->before_e4 == change->after_e4 && !correction)
			continue;
		change_line(out, change, correction);
		n++;
	}
	fprintf(out, "%zu of %zu business days and currencies would change\n", n, changes.n);
	table_release(&changes);
	if (fflush(out) || ferror(out))
		return err_set(err, ERR_IO, "cannot write what would change");
	return 0;
}
