/* Orders of the UCI Online Retail form: reads the CSV's rows, groups them by invoice in the order in which
 * the invoices first appear, and makes the events. Pure but for the memory it takes. */
#ifndef ORDERS_RETAIL_H
#define ORDERS_RETAIL_H

#include "common/err.h"
#include "tests/orders/record.h"
#include "tests/orders/text.h"

/* what the file held, and what of it an event cannot hold */
struct retail_counts {
	uint64_t lines, invoices, events;
	uint64_t zero_lines; /* quantity 0: left out */
	uint64_t cut_names; /* over 256 bytes: cut */
	uint64_t latin1; /* names not UTF-8: read as Latin-1 */
	uint64_t apart; /* lines with lines of other invoices before them */
	uint64_t split; /* invoices that became more than one event */
	int64_t gross_e4, refunds_e4, units;
};

struct retail;

/* Reads the whole text (and changes it; it is borrowed until retail_free()). ERR_DATA with the line's number.
 */
MUST_USE int retail_new(char *data, size_t len, struct retail **ret, struct err *err);
void retail_free(struct retail *r);

/* The next event: true, borrowed until the next call; false at the end. The counts grow with it. */
bool retail_next(struct retail *r, struct record *ret);
const struct retail_counts *retail_counts(const struct retail *r);

#endif
