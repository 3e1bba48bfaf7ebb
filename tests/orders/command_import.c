#include "common/base.h"
#include "tests/orders/command.h"
#include "tests/orders/input.h"
#include "tests/orders/retail.h"
#include "tests/orders/sink.h"

struct args {
	struct sink_config sink;
	uint64_t skip, count;
};

static const struct option options[] = {
	{ "--skip", "N", OPTION_COUNT, offsetof(struct args, skip), 0, INT64_MAX,
		"leave out the first N events (0)" },
	{ "--count", "N", OPTION_COUNT, offsetof(struct args, count), 0, INT64_MAX,
		"then take N events (all)" },
	SINK_OPTIONS(struct args, sink),
};

static const char help[] =
	"orders import FILE: one event per invoice from a CSV of the UCI Online Retail form, plain or zstd; "
	"- is stdin.\n"
	"Columns in any order: InvoiceNo (or Invoice), StockCode, Description, Quantity, InvoiceDate, "
	"UnitPrice (or Price),\n"
	"CustomerID (or Customer ID). Times are London's, the currency is GBP.\n"
	"\n"
	"  orders import online_retail.csv.zst\n"
	"  orders import --count 12950 FILE; orders import --skip 12950 FILE      in two halves\n"
	"\n";

static void print_amount(const char *name, int64_t e4)
{
	char text[32], *end = put_e4(text, (uint64_t)llabs(e4), 2);

	fprintf(stderr, "%s %s%.*s", name, e4 < 0 ? "-" : "", (int)(end - text), text);
}

static void note(uint64_t n, const char *what)
{
	if (n)
		fprintf(stderr, "note: %" PRIu64 " %s\n", n, what);
}

/* What was read, and what an event could not hold as it was. The sums are of events 1 to the last one made.
 */
static void report(const struct retail_counts *c)
{
	fprintf(stderr, "%" PRIu64 " lines, %" PRIu64 " invoices; in %" PRIu64 " events: ", c->lines,
		c->invoices, c->events);
	print_amount("net", c->gross_e4 - c->refunds_e4);
	print_amount(", gross", c->gross_e4);
	fprintf(stderr, " GBP, %" PRId64 " units\n", c->units);
	note(c->zero_lines, "lines of quantity 0 left out");
	note(c->cut_names, "names of more than 256 bytes cut");
	note(c->latin1, "names that are not UTF-8 read as Latin-1");
	note(c->apart, "lines stand apart from their invoice's others, brought together");
	note(c->split,
		"invoices made more than one event (both signs, over 5000 lines or over 1,000,000,000)");
}

static int send(const struct args *args, struct retail *r, struct sink *sink, struct err *err)
{
	struct record record;

	for (uint64_t n = 0; n - args->skip < args->count || n < args->skip; n++) {
		if (!retail_next(r, &record))
			break;
		if (command_stop)
			return err_set(err, ERR_STOPPED, "stopped after %" PRIu64 " events", n);
		if (n >= args->skip && sink_put(sink, &record, err))
			return -1;
	}
	return 0;
}

int command_import(int argc, char **argv, struct err *err)
{
	struct args args = { .count = INT64_MAX };
	struct text text = { 0 };
	struct retail *r = NULL;
	struct sink *sink = NULL;
	struct err close_err = { 0 };
	const char *file;
	bool wants_help;

	if (options_parse(options, ARRAY_SIZE(options), &args, argc, argv, &file, &wants_help, err))
		return -1;
	if (wants_help) {
		fputs(help, stdout);
		options_help(options, ARRAY_SIZE(options), stdout);
		return 0;
	}
	if (!file)
		return err_set(err, ERR_USAGE, "FILE is missing; hint: orders import --help");
	if (args.sink.to_stdout && args.sink.ack_log)
		return err_set(err, ERR_USAGE, "--ack-log needs Kafka, not --stdout");
	if (input_read(file, &text, err))
		return -1;
	int rc = retail_new(text.data, text.len, &r, err);
	if (rc)
		err_wrap(err, "%s", file);
	if (rc == 0)
		rc = sink_open(&args.sink, &sink, err);
	if (rc == 0)
		rc = send(&args, r, sink, err);
	if (sink_close(sink, &close_err) && rc == 0) {
		*err = close_err;
		rc = -1;
	}
	if (rc == 0)
		report(retail_counts(r));
	retail_free(r);
	text_release(&text);
	return rc;
}
