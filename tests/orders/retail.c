#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/retail.h"
#include "tests/orders/retail_row.h"

#define EVENT_LINES_MAX 5000
#define NAME_MAX_BYTES 256
#define EVENT_E4_MAX INT64_C(10000000000000) /* 1,000,000,000 units */
#define NONE UINT32_MAX

struct line {
	struct csv_field sku, name;
	int64_t quantity, price_e4;
	uint32_t next; /* of the same invoice, or NONE */
};

struct invoice {
	struct csv_field number, customer;
	int64_t time_ms;
	int offset_min;
	uint32_t first, last; /* lines */
	uint32_t chain; /* in the hash table */
};

/* where retail_next() is: invoice, sign, line */
struct place {
	uint32_t invoice, line;
	unsigned turn; /* 0: lines of the first line's sign; 1: the others */
	unsigned part; /* events of this invoice so far */
};

struct retail {
	struct line *lines;
	struct invoice *invoices;
	uint32_t n_lines, n_invoices, lines_cap, invoices_cap;
	uint32_t *heads, n_heads; /* of chains of invoices by hash; a power of two */
	struct place place;
	struct retail_counts counts;
	struct text id, value;
};

static uint32_t hash(struct csv_field f)
{
	uint32_t h = 2166136261; /* FNV-1a */

	for (size_t i = 0; i < f.len; i++)
		h = (h ^ (unsigned char)f.data[i]) * 16777619;
	return h;
}

static bool same(struct csv_field a, struct csv_field b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void chain(struct retail *r, uint32_t i)
{
	uint32_t *head = &r->heads[hash(r->invoices[i].number) & (r->n_heads - 1)];

	r->invoices[i].chain = *head;
	*head = i;
}

static void grow_heads(struct retail *r)
{
	r->n_heads = r->n_heads ? r->n_heads * 2 : 1024;
	r->heads = xreallocarray(r->heads, r->n_heads, sizeof(*r->heads));
	memset(r->heads, 0xff, r->n_heads * sizeof(*r->heads));
	for (uint32_t i = 0; i < r->n_invoices; i++)
		chain(r, i);
}

static uint32_t find_invoice(const struct retail *r, struct csv_field number)
{
	uint32_t i = r->heads[hash(number) & (r->n_heads - 1)];

	while (i != NONE && !same(r->invoices[i].number, number))
		i = r->invoices[i].chain;
	return i;
}

static uint32_t add_invoice(struct retail *r, const struct retail_row *row)
{
	uint32_t i = r->n_invoices;

	if (i == r->invoices_cap) {
		r->invoices_cap = i ? i * 2 : 1024;
		r->invoices = xreallocarray(r->invoices, r->invoices_cap, sizeof(*r->invoices));
	}
	r->invoices[i] = (struct invoice){ .number = row->invoice,
		.customer = row->customer,
		.time_ms = row->time_ms,
		.offset_min = row->offset_min,
		.first = NONE,
		.last = NONE };
	r->n_invoices++;
	if (r->n_invoices > r->n_heads)
		grow_heads(r);
	else
		chain(r, i);
	return i;
}

static void add_row(struct retail *r, const struct retail_row *row)
{
	uint32_t n = r->n_lines, i = find_invoice(r, row->invoice);

	r->counts.lines++;
	if (i == NONE)
		i = add_invoice(r, row);
	if (row->quantity == 0) {
		r->counts.zero_lines++;
		return;
	}
	if (n == r->lines_cap) {
		r->lines_cap = n ? n * 2 : 4096;
		r->lines = xreallocarray(r->lines, r->lines_cap, sizeof(*r->lines));
	}
	r->lines[n] = (struct line){ row->sku, row->name, row->quantity, row->price_e4, NONE };
	r->n_lines++;
	struct invoice *invoice = &r->invoices[i];
	if (invoice->last == NONE) {
		invoice->first = n;
	} else {
		r->counts.apart += invoice->last != n - 1;
		r->lines[invoice->last].next = n;
	}
	invoice->last = n;
}

int retail_new(char *data, size_t len, struct retail **ret, struct err *err)
{
	struct csv_field fields[RETAIL_FIELDS_MAX];
	struct retail_layout layout;
	struct retail_row row;
	struct csv csv;
	unsigned n;

	csv_init(&csv, data, len);
	int rc = csv_row(&csv, fields, RETAIL_FIELDS_MAX, &n, err);
	if (rc == 0)
		return err_set(err, ERR_DATA, "line 1: the file is empty, a header is expected");
	if (rc < 0 || retail_layout_read(fields, n, csv.row_line, &layout, err))
		return -1;
	struct retail *r = xcalloc(1, sizeof(*r));
	grow_heads(r);
	while ((rc = csv_row(&csv, fields, RETAIL_FIELDS_MAX, &n, err)) > 0) {
		rc = retail_row_read(&layout, fields, n, csv.row_line, &row, err);
		if (rc < 0)
			break;
		if (r->n_lines == INT32_MAX) {
			rc = err_set(err, ERR_DATA, "line %" PRIu64 ": too many lines", csv.row_line);
			break;
		}
		add_row(r, &row);
	}
	if (rc < 0) {
		retail_free(r);
		return -1;
	}
	r->counts.invoices = r->n_invoices;
	r->place.line = r->n_invoices ? r->invoices[0].first : NONE;
	*ret = r;
	return 0;
}

void retail_free(struct retail *r)
{
	if (!r)
		return;
	text_release(&r->id);
	text_release(&r->value);
	free(r->lines);
	free(r->invoices);
	free(r->heads);
	free(r);
}

/* A line takes back if quantity x price is below zero, or the quantity where that is zero. */
static bool takes_back(const struct line *l)
{
	return l->price_e4 < 0 ? l->quantity > 0 : l->quantity < 0;
}

/* A text as a JSON string: valid UTF-8 (read as Latin-1 where it is not), cut to max bytes. */
static void add_string(struct retail *r, struct csv_field f, size_t max)
{
	struct text utf8 = { 0 };

	if (!text_is_utf8(f.data, f.len)) {
		char *p = text_reserve(&utf8, 2 * f.len);

		r->counts.latin1++;
		for (size_t i = 0; i < f.len; i++) {
			unsigned char c = (unsigned char)f.data[i];

			if (c >= 0x80)
				*p++ = (char)(0xc0 | c >> 6);
			*p++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
		}
		f = (struct csv_field){ utf8.data, (size_t)(p - utf8.data) };
	}
	if (f.len > max) {
		r->counts.cut_names++;
		for (f.len = max; ((unsigned char)f.data[f.len] & 0xc0) == 0x80;)
			f.len--;
	}
	char *p = text_reserve(&r->value, 6 * f.len + 2);
	r->value.len += (size_t)(put_json(p, f.data, f.len) - p);
	text_release(&utf8);
}

static void add_line(struct retail *r, const struct line *l)
{
	text_add(&r->value, "{\"sku\":", 7);
	add_string(r, l->sku, 64);
	char *start = text_reserve(&r->value, 128), *p = PUT(start, ",\"quantity\":");
	p = put_uint(p, (uint64_t)llabs(l->quantity));
	p = PUT(p, ",\"unit_price\":\"");
	p = put_e4(p, (uint64_t)llabs(l->price_e4), 2);
	p = PUT(p, "\"");
	r->value.len += (size_t)(p - start);
	if (l->name.len > 0) {
		text_add(&r->value, ",\"name\":", 8);
		add_string(r, l->name, NAME_MAX_BYTES);
	}
	text_add(&r->value, "}", 1);
}

static void add_head(struct retail *r, const struct invoice *invoice, bool refund)
{
	text_add(&r->value, "{\"schema_version\":1,\"event_id\":", 31);
	struct csv_field id = { r->id.data, r->id.len };
	add_string(r, id, 64);
	text_add(&r->value, ",\"type\":", 8);
	add_string(r, (struct csv_field){ refund ? "order_refunded" : "order_placed", refund ? 14 : 12 }, 64);
	text_add(&r->value, ",\"order_id\":", 12);
	add_string(r, invoice->number, 64);
	text_add(&r->value, ",\"customer_id\":", 15);
	if (invoice->customer.len)
		add_string(r, invoice->customer, 64);
	else
		text_add(&r->value, "null", 4);
	char *start = text_reserve(&r->value, 128), *p = PUT(start, ",\"event_time\":\"");
	p = put_time(p, invoice->time_ms, invoice->offset_min);
	if (p[-1] == 'Z')
		p = PUT(p - 1, "+00:00");
	p = PUT(p, "\",\"currency\":\"GBP\",\"lines\":[");
	r->value.len += (size_t)(p - start);
}

/* Moves to the next line of the present turn, on to the next turn and invoice; false at the end. */
static bool seek(struct retail *r, bool *ret_refund)
{
	struct place *at = &r->place;

	for (; at->invoice < r->n_invoices; at->invoice++) {
		uint32_t first = r->invoices[at->invoice].first;

		for (; at->turn < 2 && first != NONE; at->turn++, at->line = first) {
			bool refund = takes_back(&r->lines[first]) != (at->turn == 1);

			while (at->line != NONE && takes_back(&r->lines[at->line]) != refund)
				at->line = r->lines[at->line].next;
			if (at->line != NONE) {
				*ret_refund = refund;
				return true;
			}
		}
		at->turn = at->part = 0;
		at->line = at->invoice + 1 < r->n_invoices ? r->invoices[at->invoice + 1].first : NONE;
	}
	return false;
}

static void name_event(struct retail *r, const struct invoice *invoice)
{
	r->id.len = 0;
	text_add(&r->id, "invoice-", 8);
	text_add(&r->id, invoice->number.data, invoice->number.len);
	if (r->place.part++ == 0)
		return;
	r->counts.split += r->place.part == 2;
	char *start = text_reserve(&r->id, 16), *p = PUT(start, "-");
	p = put_uint(p, r->place.part);
	r->id.len += (size_t)(p - start);
}

bool retail_next(struct retail *r, struct record *ret)
{
	struct place *at = &r->place;
	int64_t total_e4 = 0, units = 0;
	bool refund;

	if (!seek(r, &refund))
		return false;
	const struct invoice *invoice = &r->invoices[at->invoice];
	r->value.len = 0;
	name_event(r, invoice);
	add_head(r, invoice, refund);
	for (unsigned n = 0; at->line != NONE && n < EVENT_LINES_MAX; at->line = r->lines[at->line].next) {
		const struct line *l = &r->lines[at->line];
		int64_t e4 = llabs(l->quantity) * llabs(l->price_e4);

		if (takes_back(l) != refund)
			continue;
		if (total_e4 + e4 > EVENT_E4_MAX)
			break;
		if (n++ > 0)
			text_add(&r->value, ",", 1);
		add_line(r, l);
		total_e4 += e4;
		units += llabs(l->quantity);
	}
	text_add(&r->value, "]}", 2);
	r->counts.events++;
	r->counts.gross_e4 += refund ? 0 : total_e4;
	r->counts.refunds_e4 += refund ? total_e4 : 0;
	r->counts.units += refund ? -units : units;
	*ret = (struct record){ .key = invoice->number.data,
		.key_len = invoice->number.len,
		.value = r->value.data,
		.value_len = r->value.len,
		.id = r->id.data,
		.id_len = r->id.len,
		.currency = "GBP",
		.net_e4 = refund ? -total_e4 : total_e4 };
	return true;
}

const struct retail_counts *retail_counts(const struct retail *r)
{
	return &r->counts;
}
