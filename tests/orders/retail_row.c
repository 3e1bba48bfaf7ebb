#include "common/base.h"
#include "tests/orders/retail_row.h"
#include "tests/orders/text.h"

#include <ctype.h>

static const char *const names[RETAIL_COLUMNS][2] = {
	[COL_INVOICE] = { "InvoiceNo", "Invoice" },
	[COL_SKU] = { "StockCode", "StockCode" },
	[COL_NAME] = { "Description", "Description" },
	[COL_QUANTITY] = { "Quantity", "Quantity" },
	[COL_DATE] = { "InvoiceDate", "InvoiceDate" },
	[COL_PRICE] = { "UnitPrice", "Price" },
	[COL_CUSTOMER] = { "CustomerID", "Customer ID" },
};

static struct csv_field trim(struct csv_field f)
{
	for (; f.len > 0 && f.data[0] == ' '; f.len--)
		f.data++;
	while (f.len > 0 && f.data[f.len - 1] == ' ')
		f.len--;
	return f;
}

static bool is(struct csv_field f, const char *name)
{
	return f.len == strlen(name) && memcmp(f.data, name, f.len) == 0;
}

int retail_layout_read(
	const struct csv_field *fields, unsigned n, uint64_t line, struct retail_layout *ret, struct err *err)
{
	ret->n_fields = n;
	for (unsigned column = 0; column < RETAIL_COLUMNS; column++) {
		unsigned found = 0;

		for (unsigned i = 0; i < n; i++) {
			if (is(trim(fields[i]), names[column][0]) || is(trim(fields[i]), names[column][1])) {
				ret->at[column] = i;
				found++;
			}
		}
		if (found != 1)
			return err_set(err, ERR_DATA,
				"line %" PRIu64 ": the header has %s column '%s'; hint: the columns "
				"InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, "
				"CustomerID are needed",
				line, found ? "more than one" : "no", names[column][0]);
	}
	return 0;
}

static int bad(
	struct err *err, uint64_t line, enum retail_column column, struct csv_field f, const char *what)
{
	return err_set(err, ERR_DATA, "line %" PRIu64 ": %s '%.*s': %s", line, names[column][0],
		f.len < 80 ? (int)f.len : 80, f.data, what);
}

/* [-]digits[.digits] in 1/10^decimals; false if it is none or does not fit into 14 digits before the point */
static bool decimal(struct csv_field f, unsigned decimals, int64_t *ret)
{
	const char *p = f.data, *end = f.data + f.len;
	bool negative = p < end && *p == '-';
	int64_t n = 0;
	unsigned digits = 0;

	for (p += negative; p < end && isdigit((unsigned char)*p); p++, digits++) {
		if (n >= INT64_C(10000000000000))
			return false;
		n = n * 10 + (*p - '0');
	}
	if (digits == 0)
		return false;
	bool point = p < end && *p == '.';
	for (p += point, digits = 0; p < end && isdigit((unsigned char)*p); p++, digits++) {
		if (digits >= decimals && *p != '0')
			return false;
		if (digits < decimals)
			n = n * 10 + (*p - '0');
	}
	if (p != end || (point && digits == 0))
		return false;
	for (; digits < decimals; digits++)
		n *= 10;
	*ret = negative ? -n : n;
	return true;
}

static bool number(const char **p, const char *end, unsigned max_digits, unsigned *ret)
{
	unsigned n = 0, digits = 0;

	for (; *p < end && digits < max_digits && isdigit((unsigned char)**p); (*p)++, digits++)
		n = n * 10 + (unsigned)(**p - '0');
	*ret = n;
	return digits > 0;
}

static bool take(const char **p, const char *end, char c)
{
	if (*p == end || **p != c)
		return false;
	(*p)++;
	return true;
}

/* "2010-12-01" or, month first, "12/1/2010" or "12/1/10" */
static bool read_date(const char **p, const char *end, unsigned *year, unsigned *month, unsigned *day)
{
	const char *first = *p;

	if (end - first > 4 && first[4] == '-')
		return number(p, end, 4, year) && take(p, end, '-') && number(p, end, 2, month) &&
		       take(p, end, '-') && number(p, end, 2, day);
	if (!number(p, end, 2, month) || !take(p, end, '/') || !number(p, end, 2, day) || !take(p, end, '/'))
		return false;
	first = *p;
	if (!number(p, end, 4, year) || (*p - first != 4 && *p - first != 2))
		return false;
	*year += *p - first == 2 ? 2000 : 0;
	return true;
}

/* The last Sunday of a month of 31 days, as days since 1970 (a Thursday). */
static int64_t last_sunday(unsigned year, unsigned month)
{
	int64_t last = days_of_date(year, month, 31);

	return last - (last + 4) % 7;
}

/* The rule since 1996: one hour ahead from 01:00 UTC on the last Sunday of March to 01:00 UTC on that of
 * October. The hour that comes twice is read as its first time. */
static int london_offset_min(unsigned year, int64_t local_min)
{
	int64_t spring = last_sunday(year, 3) * 1440 + 120, autumn = last_sunday(year, 10) * 1440 + 120;

	return local_min >= spring && local_min < autumn ? 60 : 0;
}

/* after the date: " 8:26", " 08:26:00", "T08:26:00.000"; read as London's local time */
static bool read_time(struct csv_field f, struct retail_row *ret)
{
	static const uint8_t days_in[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	const char *p = f.data, *end = f.data + f.len;
	unsigned year, month, day, h = 0, m = 0, s = 0, fraction = 0;

	if (!read_date(&p, end, &year, &month, &day) || month < 1 || month > 12 || year < 1981 || year > 2198)
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (day < 1 || day > days_in[month - 1] + (month == 2 && leap ? 1U : 0U))
		return false;
	if (p < end) {
		if ((!take(&p, end, ' ') && !take(&p, end, 'T')) || !number(&p, end, 2, &h) ||
			!take(&p, end, ':') || !number(&p, end, 2, &m))
			return false;
		if (take(&p, end, ':') && !number(&p, end, 2, &s))
			return false;
		if (take(&p, end, '.') && !number(&p, end, 9, &fraction))
			return false;
	}
	if (p != end || h > 23 || m > 59 || s > 59)
		return false;
	int64_t local_min = days_of_date(year, month, day) * 1440 + h * 60 + m;
	ret->offset_min = london_offset_min(year, local_min);
	ret->time_ms = (local_min - ret->offset_min) * 60000 + s * 1000;
	return true;
}

int retail_row_read(const struct retail_layout *layout, const struct csv_field *fields, unsigned n,
	uint64_t line, struct retail_row *ret, struct err *err)
{
	struct csv_field f[RETAIL_COLUMNS];

	if (n != layout->n_fields)
		return err_set(err, ERR_DATA, "line %" PRIu64 ": %u fields, but the header has %u", line, n,
			layout->n_fields);
	for (unsigned i = 0; i < RETAIL_COLUMNS; i++) {
		f[i] = i == COL_NAME ? fields[layout->at[i]] : trim(fields[layout->at[i]]);
		if (memchr(f[i].data, 0, f[i].len))
			return err_set(
				err, ERR_DATA, "line %" PRIu64 ": %s holds a zero byte", line, names[i][0]);
		if (i != COL_NAME && !text_is_utf8(f[i].data, f[i].len))
			return err_set(err, ERR_DATA, "line %" PRIu64 ": %s is not UTF-8", line, names[i][0]);
	}
	/* spreadsheets make a fraction of a number that may be missing */
	if (f[COL_CUSTOMER].len > 2 && memcmp(f[COL_CUSTOMER].data + f[COL_CUSTOMER].len - 2, ".0", 2) == 0)
		f[COL_CUSTOMER].len -= 2;
	if (f[COL_INVOICE].len < 1 || f[COL_INVOICE].len > 40)
		return bad(err, line, COL_INVOICE, f[COL_INVOICE], "1 to 40 bytes are expected");
	if (f[COL_SKU].len < 1 || f[COL_SKU].len > 64)
		return bad(err, line, COL_SKU, f[COL_SKU], "1 to 64 bytes are expected");
	if (f[COL_CUSTOMER].len > 64)
		return bad(err, line, COL_CUSTOMER, f[COL_CUSTOMER], "at most 64 bytes are expected");
	if (!decimal(f[COL_QUANTITY], 0, &ret->quantity) || llabs(ret->quantity) > 1000000)
		return bad(err, line, COL_QUANTITY, f[COL_QUANTITY],
			"a whole number of at most 1,000,000 is expected");
	if (!decimal(f[COL_PRICE], 4, &ret->price_e4) || llabs(ret->price_e4) > INT64_C(10000000000000))
		return bad(err, line, COL_PRICE, f[COL_PRICE],
			"a decimal with at most 4 decimals, at most 1,000,000,000, is expected");
	if (llabs(ret->quantity) * (__int128)llabs(ret->price_e4) > INT64_C(10000000000000))
		return bad(err, line, COL_PRICE, f[COL_PRICE], "quantity x price is over 1,000,000,000");
	if (!read_time(f[COL_DATE], ret))
		return bad(err, line, COL_DATE, f[COL_DATE],
			"a time such as '2010-12-01 08:26:00' or, month first, '12/1/2010 8:26' is expected");
	ret->invoice = f[COL_INVOICE];
	ret->sku = f[COL_SKU];
	ret->name = f[COL_NAME];
	ret->customer = f[COL_CUSTOMER];
	return 0;
}
