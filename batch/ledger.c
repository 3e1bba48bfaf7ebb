#include "common/base.h"
#include "batch/ledger.h"

#include "common/kernel/money.h"

static_assert(sizeof(struct ledger_key) == 16, "no padding in a key");

void ledger_init(struct ledger *ledger)
{
	table_init(&ledger->entries, sizeof(struct ledger_entry), sizeof(struct ledger_key));
}

void ledger_release(struct ledger *ledger)
{
	table_release(&ledger->entries);
}

int ledger_add(struct ledger *ledger, struct ledger_key key, int64_t net_e4, int64_t events, struct err *err)
{
	bool new;
	struct ledger_entry *entry = table_put(&ledger->entries, &key, &new);

	if (money_add(entry->net_e4, net_e4, &entry->net_e4) ||
		money_add(entry->events, events, &entry->events))
		return err_set(err, ERR_DATA, "a day's sum exceeds 64 bits");
	return 0;
}

int ledger_merge(struct ledger *ledger, const struct ledger *more, struct err *err)
{
	for (size_t i = 0; i < more->entries.n; i++) {
		const struct ledger_entry *entry = table_at(&more->entries, i);

		if (ledger_add(ledger, entry->key, entry->net_e4, entry->events, err))
			return -1;
	}
	return 0;
}
