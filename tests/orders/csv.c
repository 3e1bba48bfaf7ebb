#include "common/base.h"
#include "tests/orders/csv.h"

void csv_init(struct csv *csv, char *data, size_t len)
{
	*csv = (struct csv){ .p = data, .end = data + len, .line = 1 };
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		csv->p += 3;
}

static int quoted(struct csv *csv, struct csv_field *field, struct err *err)
{
	uint64_t first = csv->line;
	char *out = ++csv->p;

	field->data = out;
	for (; csv->p < csv->end; csv->p++) {
		if (*csv->p == '"') {
			if (csv->p + 1 == csv->end || csv->p[1] != '"')
				break;
			csv->p++;
		}
		csv->line += *csv->p == '\n';
		*out++ = *csv->p;
	}
	if (csv->p == csv->end)
		return err_set(err, ERR_DATA, "line %" PRIu64 ": a quoted field has no end", first);
	csv->p++;
	field->len = (size_t)(out - field->data);
	if (csv->p < csv->end && *csv->p != ',' && *csv->p != '\n' && *csv->p != '\r')
		return err_set(err, ERR_DATA, "line %" PRIu64 ": text after the closing quote of a field",
			csv->line);
	return 0;
}

static int plain(struct csv *csv, struct csv_field *field, struct err *err)
{
	field->data = csv->p;
	for (; csv->p < csv->end && *csv->p != ',' && *csv->p != '\n' && *csv->p != '\r'; csv->p++)
		if (*csv->p == '"')
			return err_set(err, ERR_DATA, "line %" PRIu64 ": a quote inside an unquoted field",
				csv->line);
	field->len = (size_t)(csv->p - field->data);
	return 0;
}

/* Passes over the end of a line, if there is one here. */
static bool line_end(struct csv *csv)
{
	if (csv->end - csv->p >= 2 && csv->p[0] == '\r' && csv->p[1] == '\n')
		csv->p++;
	if (csv->p == csv->end || *csv->p != '\n')
		return false;
	csv->p++;
	csv->line++;
	return true;
}

int csv_row(struct csv *csv, struct csv_field *fields, unsigned max, unsigned *ret_n, struct err *err)
{
	unsigned n = 0;

	while (line_end(csv)) {
	}
	if (csv->p == csv->end)
		return 0;
	csv->row_line = csv->line;
	for (;;) {
		if (n == max)
			return err_set(
				err, ERR_DATA, "line %" PRIu64 ": more than %u fields", csv->line, max);
		if (csv->p < csv->end && *csv->p == '"' ? quoted(csv, &fields[n], err)
							: plain(csv, &fields[n], err))
			return -1;
		n++;
		if (csv->p == csv->end || line_end(csv))
			break;
		if (*csv->p != ',')
			return err_set(err, ERR_DATA, "line %" PRIu64 ": a carriage return without line feed",
				csv->line);
		csv->p++;
	}
	*ret_n = n;
	return 1;
}
