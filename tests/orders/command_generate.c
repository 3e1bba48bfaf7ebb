#include "common/base.h"
#include "tests/orders/command.h"
#include "tests/orders/generate.h"
#include "tests/orders/rhythm.h"
#include "tests/orders/sink.h"

#include <sys/random.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)
#define DAYS_MAX 3650
#define NOT_GIVEN INT64_MIN

struct args {
	struct generate_config generate;
	struct sink_config sink;
	uint64_t count, days, rate;
	int64_t until_ms;
};

#define AT(member) offsetof(struct args, member)
#define SHARE(name, member, help) \
	{ \
		name, "SHARE", OPTION_SHARE, AT(generate.member), 0, 0, help \
	}

static const struct option options[] = {
	{ "--seed", "N", OPTION_COUNT, AT(generate.seed), 0, UINT64_MAX - 1,
		"same seed and options, same bytes (1; live: by chance)" },
	{ "--count", "N", OPTION_COUNT, AT(count), 0, UINT64_C(100000000000),
		"records (1000000; live: no end)" },
	{ "--days", "N", OPTION_COUNT, AT(days), 1, DAYS_MAX, "a history: spread over N days (90)" },
	{ "--until", "TIME", OPTION_TIME, AT(until_ms), 0, 0, "where those days end, RFC 3339 (now)" },
	{ "--rate", "N", OPTION_COUNT, AT(rate), 1, 1000000,
		"live: N records per second with the time of now" },
	{ "--currencies", "LIST", OPTION_TEXT, AT(generate.currencies), 0, 0,
		"GBP,EUR or GBP=7,EUR=3 (GBP=7,EUR=2,USD=1)" },
	{ "--customers", "N", OPTION_COUNT, AT(generate.customers), 1, 10000000, "customers (20000)" },
	{ "--products", "N", OPTION_COUNT, AT(generate.products), 1, 200000, "products (3000)" },
	SHARE("--duplicates", duplicates, "records that are sent again (0)"),
	{ "--duplicate-distance", "N", OPTION_COUNT, AT(generate.duplicate_distance), 1, 100000000,
		"how many records back the first may lie (10000)" },
	SHARE("--out-of-order", out_of_order, "orders up to 5 minutes back (0)"),
	SHARE("--late", late, "orders 1 to 72 hours back (0)"),
	SHARE("--refunds", refunds, "refunds of earlier orders or a part of them (0)"),
	SHARE("--broken", broken, "records that break a rule, in every way (0)"),
	SINK_OPTIONS(struct args, sink),
};

static const char help[] =
	"orders generate: makes up orders, a history of days or a live stream.\n"
	"\n"
	"  orders generate --seed 7 --count 1000000 --days 90 --refunds 0.02 --duplicates 0.01\n"
	"  orders generate --rate 200                   until it is stopped\n"
	"  orders generate --stdout --count 10 --until 2026-11-23T00:00:00Z\n"
	"\n";

static int64_t now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int stopped(uint64_t made, uint64_t count, struct err *err)
{
	return err_set(err, ERR_STOPPED, "stopped after %" PRIu64 " of %" PRIu64 " records", made, count);
}

static int history(const struct args *args, struct generate *g, struct sink *sink, struct err *err)
{
	struct rhythm rhythm;
	struct record record;

	rhythm_init(&rhythm, args->until_ms - (int64_t)args->days * DAY_MS, args->until_ms, args->count,
		rng_hash(args->generate.seed, 5));
	for (uint64_t made = 0; made < args->count; made++) {
		if (command_stop)
			return stopped(made, args->count, err);
		generate_next(g, rhythm_next(&rhythm), &record);
		if (sink_put(sink, &record, err))
			return -1;
	}
	return 0;
}

static int live(const struct args *args, struct generate *g, struct sink *sink, struct err *err)
{
	int64_t start_ms = now_ms(CLOCK_MONOTONIC);
	struct record record;

	for (uint64_t made = 0; made < args->count;) {
		uint64_t elapsed_ms = (uint64_t)(now_ms(CLOCK_MONOTONIC) - start_ms);
		uint64_t due = elapsed_ms * args->rate / 1000 + 1;

		for (; made < due && made < args->count; made++) {
			generate_next(g, now_ms(CLOCK_REALTIME), &record);
			if (sink_put(sink, &record, err))
				return -1;
		}
		if (command_stop)
			return args->count == UINT64_MAX ? 0 : stopped(made, args->count, err);
		uint64_t next_ms = made * 1000 / args->rate;
		if (sink_wait(sink, next_ms > elapsed_ms ? (next_ms - elapsed_ms) * 1000 : 1000, err))
			return -1;
	}
	return 0;
}

/* A live stream draws its seed by chance: two of them must not make the same ids. */
static int settle(struct args *args, struct err *err)
{
	bool is_live = args->rate > 0;

	if (is_live && (args->days || args->until_ms != NOT_GIVEN))
		return err_set(
			err, ERR_USAGE, "--rate is for live orders, --days and --until are for a history");
	if (args->sink.to_stdout && args->sink.ack_log)
		return err_set(err, ERR_USAGE, "--ack-log needs Kafka, not --stdout");
	if (args->generate.seed == UINT64_MAX) {
		args->generate.seed = 1;
		if (is_live && getrandom(&args->generate.seed, sizeof(args->generate.seed), 0) < 0)
			return err_set(err, ERR_OS, "no random number");
		if (is_live)
			args->generate.seed >>= 1;
	}
	if (args->count == UINT64_MAX && !is_live)
		args->count = 1000000;
	if (args->days == 0)
		args->days = 90;
	if (args->until_ms == NOT_GIVEN)
		args->until_ms = now_ms(CLOCK_REALTIME);
	args->generate.floor_ms = is_live ? 0 : args->until_ms - (int64_t)args->days * DAY_MS;
	if (args->generate.floor_ms < 315532800000 && !is_live)
		return err_set(err, ERR_USAGE, "--until less --days lies before 1980");
	args->sink.live = is_live;
	args->sink.expected = args->count == UINT64_MAX ? 0 : args->count;
	return 0;
}

int command_generate(int argc, char **argv, struct err *err)
{
	struct args args = { .count = UINT64_MAX, .until_ms = NOT_GIVEN };
	const char *operand;
	bool wants_help;

	args.generate = (struct generate_config){ .seed = UINT64_MAX,
		.customers = 20000,
		.products = 3000,
		.currencies = "GBP=7,EUR=2,USD=1",
		.duplicate_distance = 10000 };
	if (options_parse(options, ARRAY_SIZE(options), &args, argc, argv, &operand, &wants_help, err))
		return -1;
	if (wants_help) {
		fputs(help, stdout);
		options_help(options, ARRAY_SIZE(options), stdout);
		return 0;
	}
	if (operand)
		return err_set(err, ERR_USAGE, "unexpected argument '%s'", operand);

	struct generate *g = NULL;
	struct sink *sink = NULL;
	struct err close_err = { 0 };
	if (settle(&args, err) || generate_new(&args.generate, &g, err))
		return -1;
	int rc = sink_open(&args.sink, &sink, err);
	if (rc == 0 && args.sink.live)
		fprintf(stderr, "seed %" PRIu64 "\n", args.generate.seed);
	if (rc == 0)
		rc = args.rate ? live(&args, g, sink, err) : history(&args, g, sink, err);
	if (sink_close(sink, &close_err) && rc == 0) {
		*err = close_err;
		rc = -1;
	}
	generate_free(g);
	return rc;
}
