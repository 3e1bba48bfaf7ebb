/* Facts and bins: what goes in comes out, in memory or from the spill file. */
#include "common/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

#include "batch/bins.h"
#include "batch/facts.h"
#include "common/mem.h"

enum { N_LINES_MAX = EVENT_LINES_MAX };

static uint64_t random_state = 1;
static const char random_text[EVENT_ID_MAX_BYTES] = "\xf0\x9f\x98\x80 any bytes, up to the limit";

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void check_roundtrip(const struct fact *fact, const struct event *event, const uint32_t *skus)
{
	SCOPED(xfreep) unsigned char *buf = xmalloc(fact_size_max(event));
	SCOPED(xfreep) struct event_line *lines = xcalloc(N_LINES_MAX, sizeof(*lines));
	SCOPED(xfreep) uint32_t *got_skus = xcalloc(N_LINES_MAX, sizeof(*got_skus));
	struct event got = { .lines = lines };
	size_t size = fact_encode(buf, fact, event, skus);
	const unsigned char *body;
	struct fact head;

	assert_true(size <= fact_size_max(event));
	assert_ptr_equal(fact_decode(buf, &head, &body), buf + size);
	assert_memory_equal(&head.id, &fact->id, sizeof(head.id));
	assert_int_equal(head.partition, fact->partition);
	assert_int_equal(head.flags, fact->flags);
	assert_true(head.offset == fact->offset && head.record_ms == fact->record_ms);
	assert_true(head.late_ms == (fact->flags & FACT_LATE ? fact->late_ms : 0));
	fact_event(body, &got, got_skus);
	assert_int_equal(got.customer_id.len, event->customer_id.len);
	assert_true(!got.customer_id.at == !event->customer_id.at);
	if (got.customer_id.len)
		assert_memory_equal(got.customer_id.at, event->customer_id.at, got.customer_id.len);
	assert_true(got.time_ms == event->time_ms / MINUTE_MS * MINUTE_MS);
	assert_true(got.currency == event->currency && got.type == event->type &&
		    got.total_e4 == event->total_e4);
	assert_true(got.units == event->units && got.n_lines == event->n_lines);
	for (uint32_t i = 0; i < event->n_lines; i++) {
		assert_int_equal(got_skus[i], skus[i]);
		assert_int_equal(lines[i].quantity, event->lines[i].quantity);
		assert_true(lines[i].unit_price_e4 == event->lines[i].unit_price_e4);
	}
}

static void test_fact_extremes(void **state)
{
	SCOPED(xfreep) struct event_line *lines = xcalloc(N_LINES_MAX, sizeof(*lines));
	SCOPED(xfreep) uint32_t *skus = xcalloc(N_LINES_MAX, sizeof(*skus));
	struct fact fact = { .record_ms = -1 };
	struct event event = { .time_ms = DATETIME_MIN_MS, .n_lines = 1, .units = 1, .lines = lines };

	(void)state;
	lines[0].quantity = 1;
	check_roundtrip(&fact, &event, skus);

	fact = (struct fact){ { UINT64_MAX, UINT64_MAX }, INT32_MAX, FACT_BELOW_BASE | FACT_SPEED | FACT_LATE,
		INT64_MAX, INT64_MIN, INT64_MAX };
	event = (struct event){ .time_ms = DATETIME_END_MS - 1,
		.n_lines = N_LINES_MAX,
		.units = INT64_C(5000000000),
		.total_e4 = EVENT_TOTAL_MAX_E4,
		.currency = 150,
		.type = EVENT_REFUNDED,
		.lines = lines };
	for (int i = 0; i < N_LINES_MAX; i++) {
		lines[i].quantity = EVENT_QUANTITY_MAX;
		lines[i].unit_price_e4 = INT64_C(99999999999999);
		skus[i] = UINT32_MAX - (uint32_t)i;
	}
	event.customer_id = (struct text){ random_text, EVENT_ID_MAX_BYTES };
	check_roundtrip(&fact, &event, skus);
}

static void test_fact_random(void **state)
{
	struct event_line lines[8] = { 0 };
	uint32_t skus[8];

	(void)state;
	for (int n = 0; n < 20000; n++) {
		struct fact fact = { { random_next(), random_next() }, (int32_t)(random_next() & 0xffff),
			(unsigned)random_next() & 15, (int64_t)(random_next() >> (1 + random_next() % 63)),
			(int64_t)random_next(), (int64_t)(random_next() >> 20) };
		struct event event = { .time_ms = DATETIME_MIN_MS + (int64_t)(random_next() % 1000000000000),
			.n_lines = 1 + (uint32_t)(random_next() % 8),
			.currency = (int)(random_next() % 160),
			.type = random_next() & 1 ? EVENT_PLACED : EVENT_REFUNDED,
			.total_e4 = (int64_t)(random_next() % EVENT_TOTAL_MAX_E4),
			.units = 7,
			.lines = lines };

		for (int i = 0; i < 8; i++) {
			skus[i] = (uint32_t)random_next();
			lines[i].quantity = 1 + (int32_t)(random_next() % EVENT_QUANTITY_MAX);
			lines[i].unit_price_e4 = (int64_t)(random_next() >> 20);
		}
		if (random_next() & 1)
			event.customer_id =
				(struct text){ random_text, 1 + random_next() % EVENT_ID_MAX_BYTES };
		check_roundtrip(&fact, &event, skus);
	}
}

/* --- bins
 * -----------------------------------------------------------------------------------------------------------
 */

static void fill(struct bins_writer *writer, int n, size_t size, struct err *err)
{
	for (int i = 0; i < n; i++) {
		unsigned bin = (unsigned)i % writer->plan->n_bins;
		unsigned char *room = bins_room(writer, bin, size, err);

		assert_non_null(room);
		memset(room, 0, size);
		memcpy(room, &i, sizeof(i));
		bins_used(writer, bin, size);
	}
}

static void check_filled(const struct bins_writer *writer, int n, size_t size)
{
	struct bins_cursor cursor = { 0 };
	int seen = 0;

	for (unsigned bin = 0; bin < writer->plan->n_bins; bin++) {
		const unsigned char *at;
		struct err err;
		size_t len;
		int expected = (int)bin, more;

		bins_cursor_start(&cursor, writer, bin);
		while ((more = bins_cursor_next(&cursor, &at, &len, &err)) > 0) {
			assert_int_equal(len % size, 0); /* a piece holds whole facts */
			for (; len; len -= size, at += size, expected += (int)writer->plan->n_bins, seen++)
				assert_memory_equal(at, &expected, sizeof(expected));
		}
		assert_int_equal(more, 0);
	}
	free(cursor.buffer);
	assert_int_equal(seen, n);
}

static void test_bins(void **state)
{
	static const struct {
		int64_t writer_bytes;
		size_t size;
		bool spills;
	} cases[] = {
		{ 1 << 30, 40, false },
		{ 100000, 40, true },
		{ 1, 40, true }, /* each block is written out as soon as another is needed */
		{ 100000, 5000, true }, /* larger than a block */
		{ 1 << 30, 5000, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bins_plan plan = { .n_bins = 16,
			.block_bytes = 2048,
			.writer_bytes = cases[i].writer_bytes,
			.spill_dir = "/tmp" };
		struct bins_writer writer;
		struct err err;

		bins_writer_init(&writer, &plan);
		fill(&writer, 10007, cases[i].size, &err);
		assert_int_equal(writer.spill.bytes > 0, cases[i].spills);
		check_filled(&writer, 10007, cases[i].size);
		bins_writer_release(&writer);
	}
}

static void test_bins_no_directory(void **state)
{
	struct bins_plan plan = {
		.n_bins = 16, .block_bytes = 2048, .writer_bytes = 1, .spill_dir = "/nonexistent"
	};
	struct bins_writer writer;
	struct err err = { 0 };
	int n = 0;

	(void)state;
	bins_writer_init(&writer, &plan);
	while (bins_room(&writer, 0, 2048, &err)) {
		bins_used(&writer, 0, 2048);
		assert_true(++n < 10);
	}
	assert_int_equal(err.code, ERR_IO);
	assert_non_null(strstr(err.msg, "/nonexistent"));
	bins_writer_release(&writer);
}

static void test_bins_disk_full(void **state)
{
	struct bins_plan plan = { .n_bins = 16, .block_bytes = 2048, .writer_bytes = 1, .spill_dir = "/tmp" };
	struct bins_writer writer;
	struct err err = { 0 };
	unsigned char *room;
	int n = 0;

	(void)state;
	bins_writer_init(&writer, &plan);
	{
		FILE *full = fopen("/dev/full", "w"); /* every write to it fails with ENOSPC */

		assert_non_null(full);
		writer.spill.fd = dup(fileno(full));
		fclose(full);
	}
	while ((room = bins_room(&writer, 0, 2048, &err))) {
		memset(room, 'x', 2048);
		bins_used(&writer, 0, 2048);
		assert_true(++n < 10);
	}
	assert_int_equal(err.code, ERR_IO);
	assert_non_null(strstr(err.msg, "No space left"));
	bins_writer_release(&writer);
}

static void test_plan(void **state)
{
	static const struct {
		int64_t n_records, memory_bytes;
		bool tight;
	} cases[] = { { 0, 1 << 20, false }, { 1000000, 256 << 20, false }, { 1000000, 1 << 20, true },
		{ INT64_C(100000000), 256 << 20, false }, { INT64_C(1000000000), INT64_C(4) << 30, false },
		{ INT64_C(10000000000), 64 << 20, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bins_plan plan =
			bins_plan(cases[i].n_records, 2, 2, cases[i].memory_bytes, 96, "/tmp");

		assert_int_equal(plan.n_bins & (plan.n_bins - 1), 0);
		assert_true(plan.block_bytes >= 512 && plan.block_bytes <= 65536);
		/* two threads search a bin each in half of the memory */
		if (!plan.tight)
			assert_true(cases[i].n_records / plan.n_bins * 96 * 2 <= cases[i].memory_bytes / 2);
		assert_int_equal(plan.tight, cases[i].tight);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fact_extremes),
		cmocka_unit_test(test_fact_random),
		cmocka_unit_test(test_bins),
		cmocka_unit_test(test_bins_no_directory),
		cmocka_unit_test(test_bins_disk_full),
		cmocka_unit_test(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
