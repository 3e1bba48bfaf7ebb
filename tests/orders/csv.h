/* CSV by RFC 4180: fields in quotes may hold commas, line breaks and doubled quotes. LF or CRLF; a BOM at the
 * start and empty lines are passed over. Reads memory, and changes it: quoted fields are unquoted in place.
 * Pure. */
#ifndef ORDERS_CSV_H
#define ORDERS_CSV_H

#include "common/err.h"

struct csv_field {
	const char *data; /* not terminated; lies in the memory that is read */
	size_t len;
};

struct csv {
	char *p, *end;
	uint64_t line; /* of p, from 1 */
	uint64_t row_line; /* where the last row began */
};

void csv_init(struct csv *csv, char *data, size_t len);

/* 1: a row of *ret_n fields (max at most); 0: the end; -1: ERR_DATA, with the line's number. */
MUST_USE int csv_row(
	struct csv *csv, struct csv_field *fields, unsigned max, unsigned *ret_n, struct err *err);

#endif
