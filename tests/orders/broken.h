/* Records that break the event's rules, one way each, so that every reason to refuse one comes up. Pure. */
#ifndef ORDERS_BROKEN_H
#define ORDERS_BROKEN_H

#include "tests/orders/text.h"

#define BROKEN_MAX 4096

unsigned broken_kinds(void);

/* Writes broken record `kind` (below broken_kinds()) at p, which has room for BROKEN_MAX; returns its end, or
 * NULL for the record that has no value at all. No record holds a line feed. id       16 hex digits that make
 * its ids its own time_ms  event time, where the record gets so far */
char *broken_put(char *p, unsigned kind, uint64_t id, int64_t time_ms);

#endif
