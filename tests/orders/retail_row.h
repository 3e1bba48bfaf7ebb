/* One row of the UCI Online Retail form, read from its fields. Pure. */
#ifndef ORDERS_RETAIL_ROW_H
#define ORDERS_RETAIL_ROW_H

#include "tests/orders/csv.h"

enum retail_column {
	COL_INVOICE,
	COL_SKU,
	COL_NAME,
	COL_QUANTITY,
	COL_DATE,
	COL_PRICE,
	COL_CUSTOMER,
	RETAIL_COLUMNS
};

#define RETAIL_FIELDS_MAX 64

/* where each column stands, from the header row; both editions' names, any order, further columns are passed
 * over */
struct retail_layout {
	unsigned at[RETAIL_COLUMNS], n_fields;
};

struct retail_row {
	struct csv_field invoice, sku, name, customer; /* customer.len 0: not known */
	int64_t quantity, price_e4; /* signed, as in the file */
	int64_t time_ms;
	int offset_min; /* of London at that time */
};

MUST_USE int retail_layout_read(const struct csv_field *fields, unsigned n, uint64_t line,
	struct retail_layout *ret, struct err *err);
/* ERR_DATA with the line's number. */
MUST_USE int retail_row_read(const struct retail_layout *layout, const struct csv_field *fields, unsigned n,
	uint64_t line, struct retail_row *ret, struct err *err);

#endif
