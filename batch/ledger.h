/* Net amounts per business day and currency, by what they are: what corrections are made of. Pure; one
 * thread. */
#ifndef BATCH_LEDGER_H
#define BATCH_LEDGER_H

#include "common/err.h"
#include "common/kernel/table.h"

enum ledger_kind {
	LEDGER_BASE_STORED, /* the base run's answer, as it is stored */
	LEDGER_BASE_AGAIN, /* the same log below the base's cut, computed now */
	LEDGER_EXPECTED, /* what speed's rules count from the base's cut on, per partition */
	LEDGER_SAID, /* what speed did say for the same offsets, per partition; where it is known */
	LEDGER_AFTER, /* the new run's answer */
	LEDGER_BEYOND_HORIZON, /* counted by speed's rules, but a duplicate in its own partition */
	LEDGER_OTHER_PARTITION, /* ... of an event in another partition */
	LEDGER_LATE_EXCLUDED, /* left out by speed's rules because it was late, but counted by the run */
};

struct ledger_key {
	int32_t day, currency;
	int32_t kind;
	int32_t partition; /* 0 for the kinds that are not per partition */
};

struct ledger_entry {
	struct ledger_key key;
	int64_t net_e4, events;
};

struct ledger {
	struct table entries; /* struct ledger_entry */
};

void ledger_init(struct ledger *ledger);
void ledger_release(struct ledger *ledger);

/* ERR_DATA on overflow */
MUST_USE int ledger_add(
	struct ledger *ledger, struct ledger_key key, int64_t net_e4, int64_t events, struct err *err);
MUST_USE int ledger_merge(struct ledger *ledger, const struct ledger *more, struct err *err);

#endif
