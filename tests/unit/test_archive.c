/* Archive: any record comes back from its line to the bit, a manifest of which a byte is wrong is none, and
 * what is missing is found. */
#include "common/base.h"
#include "tests/unit/unit.h"

#include "common/plan.h"
#include "common/archive_manifest.h"
#include "common/kernel/json.h"
#include "common/mem.h"
#include "common/ranges.h"

#define NOTHING ((struct text){ NULL, 0 })

/* --- lines --- */

static void assert_same(struct text got, struct text wanted)
{
	assert_int_equal(got.len, wanted.len);
	assert_true(!got.at == !wanted.at);
	if (wanted.len)
		assert_memory_equal(got.at, wanted.at, wanted.len);
}

/* A line of its own is JSON, ends with the only line feed, and is read as the record. */
static void check_line(const struct archive_record *record)
{
	struct archive_buffer line = { 0 };
	struct archive_line room = { 0 };
	struct archive_record got;
	struct json json;

	archive_put_word(&line, "before");
	archive_line_write(&line, record);
	assert_true(line.at && line.len > 6);
	assert_ptr_equal(memchr(line.at, '\n', line.len), line.at + line.len - 1);
	assert_null(memchr(line.at, '\r', line.len));
	json_init(&json, line.at + 6, line.len - 6);
	assert_int_equal(json_drain(&json), JSON_END);
	assert_false(json.any_unstorable);
	assert_int_equal(archive_line_read(&room, (struct text){ line.at + 6, line.len - 7 }, &got), 0);
	assert_true(got.offset == record->offset && got.timestamp_ms == record->timestamp_ms);
	assert_same(got.key, record->key);
	assert_same(got.value, record->value);
	assert_int_equal(got.n_headers, record->n_headers);
	assert_true(got.headers || !got.n_headers);
	for (size_t i = 0; record->headers && i < got.n_headers; i++) {
		assert_same(got.headers[i].name, record->headers[i].name);
		assert_same(got.headers[i].value, record->headers[i].value);
	}
	archive_line_release(&room);
	archive_buffer_release(&line);
}

static const struct {
	const char *value;
	bool plain; /* stands in the line as it is */
} line_values[] = {
	{ "{}", true },
	{ " {\"a\" : 1}\t", true },
	{ "{\"a\":\"\\ud83d\\ude00\"}", true },
	{ "{\"a\":\"\xe2\x80\xa8\"}", true },
	{ "{\"a\":1,\"a\":2}", true },
	{ "{\"a\":\"},{\\\"raw\\\":\\\"\"}", true },
	{ "{\"a\":\"\\ud83d\",\"b\":\"c\"}", false },
	{ "{\"\\u0000\":1}", false },
	{ "{\n}", false },
	{ "{}\r", false },
	{ "{}}", false },
	{ "{\"a\":\"\xff\"}", false },
	{ "null", false },
	{ "[1]", false },
	{ "1", false },
	{ "\"a\"", false },
	{ "", false },
	{ "{", false },
	{ "\xef\xbb\xbf{}", false },
};

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(line_values); i++) {
		struct archive_record record = { .offset = 5, .value = unit_text(line_values[i].value) };
		struct archive_buffer line = { 0 };

		check_line(&record);
		archive_line_write(&line, &record);
		archive_put(&line, "", 1);
		assert_true(line_values[i].plain == !strstr(line.at, ",\"raw\":"));
		archive_buffer_release(&line);
	}
}

static struct text random_text(struct unit_random *random, char *bytes, size_t max, bool may_be_null)
{
	static const char *const pieces[] = { "{", "}", "\"", "\\", ":", ",", "null", "\"raw\":\"",
		"\xc3\xa4", "\xf0\x9f\x98\x80", "\n", "\r", "\x1f", "\x7f", "=", "\\u0000", "{\"a\":1}",
		"\"value\":" };
	size_t len = 0, wanted = (size_t)unit_random_below(random, (int64_t)max);

	if (may_be_null && unit_random_chance(random, 10))
		return NOTHING;
	while (len + 16 < wanted) {
		const char *piece = pieces[unit_random_below(random, ARRAY_SIZE(pieces))];

		if (unit_random_chance(random, 30)) {
			bytes[len++] = (char)unit_random_next(random);
			continue;
		}
		memcpy(bytes + len, piece, strlen(piece));
		len += strlen(piece);
	}
	return (struct text){ bytes, len };
}

static void test_hostile_records(void **state)
{
	struct unit_random random = { unit_seed(__func__) };
	static char bytes[10][400];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct archive_header headers[4];
		struct archive_record record = { unit_random_below(&random, INT64_MAX),
			(int64_t)unit_random_next(&random), random_text(&random, bytes[0], 100, true),
			random_text(&random, bytes[1], 400, true), headers,
			(size_t)unit_random_below(&random, 5) };

		for (size_t h = 0; h < record.n_headers; h++)
			headers[h] =
				(struct archive_header){ random_text(&random, bytes[2 + 2 * h], 60, false),
					random_text(&random, bytes[3 + 2 * h], 60, true) };
		check_line(&record);
	}
}

static void test_lines_that_are_none(void **state)
{
	static const char *const lines[] = { "", "{", "{}", "{\"offset\":1}",
		"{\"offset\":01,\"timestamp\":1,\"key\":null,\"value\":null}",
		"{\"offset\":-1,\"timestamp\":1,\"key\":null,\"value\":null}",
		"{\"offset\":9223372036854775808,\"timestamp\":1,\"key\":null,\"value\":null}",
		"{\"offset\":1,\"timestamp\":-0,\"key\":null,\"value\":null}",
		"{\"offset\":1,\"timestamp\":1,\"key\":\"a,\"value\":null}",
		"{\"offset\":1,\"timestamp\":1,\"key\":\"\\n\",\"value\":null}",
		"{\"offset\":1,\"timestamp\":1,\"key\":\"\\u0000\",\"value\":null}",
		"{\"offset\":1,\"timestamp\":1,\"key\":\"\xff\",\"value\":null}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"value\":null} ",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"value\":",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"value\":}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"raw\":\"YQ=\"}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"raw\":\"YR==\"}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"raw\":\"YQ==YQ==\"}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"raw\":\"Y-==\"}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"headers\":[],\"value\":null}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"headers\":[{\"key\":null}],\"value\":null}",
		"{\"offset\":1,\"timestamp\":1,\"key\":null,\"raw\":\"\",\"value\":null}" };
	struct archive_line room = { 0 };
	struct archive_record record;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(archive_line_read(&room, unit_text(lines[i]), &record), -1);
	archive_line_release(&room);
}

/* --- manifests --- */

static const struct archive_manifest manifest_example = { .log = "cluster_1/or\"ders",
	.partition = 3,
	.from = 17,
	.to = 42,
	.count = 20,
	.first_ms = -1,
	.last_ms = 1780000000000,
	.bytes = 4711,
	.hash = 0x0123456789abcdef,
	.before = { 16, 0xfedcba9876543210 },
	.tail = { 40, 7 },
	.written_ms = 1780000000001 };

static void test_manifest(void **state)
{
	struct archive_manifest got;
	struct archive_buffer text = { 0 };

	(void)state;
	archive_manifest_write(&text, &manifest_example);
	assert_int_equal(archive_manifest_read((struct text){ text.at, text.len }, &got), 0);
	assert_string_equal(got.log, manifest_example.log);
	assert_true(got.partition == 3 && got.from == 17 && got.to == 42 && got.count == 20 &&
		    got.first_ms == -1);
	assert_true(got.last_ms == manifest_example.last_ms && got.bytes == 4711 &&
		    got.hash == manifest_example.hash);
	assert_true(got.before.offset == 16 && got.before.hash == manifest_example.before.hash);
	assert_true(
		got.tail.offset == 40 && got.tail.hash == 7 && got.written_ms == manifest_example.written_ms);
	for (size_t i = 0; i < text.len; i++) {
		assert_int_equal(archive_manifest_read((struct text){ text.at, i }, &got), -1);
		for (int bit = 0; bit < 8; bit++) {
			text.at[i] = (char)(text.at[i] ^ 1 << bit);
			assert_int_equal(archive_manifest_read((struct text){ text.at, text.len }, &got), -1);
			text.at[i] = (char)(text.at[i] ^ 1 << bit);
		}
	}
	archive_buffer_release(&text);
}

/* The checksum is right, but it cannot be. */
static void test_manifests_that_cannot_be(void **state)
{
	struct archive_manifest bad[8], got;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = manifest_example;
	bad[0].to = 16;
	bad[1].count = 26;
	bad[2].tail.offset = 42;
	bad[3].before.offset = 17;
	bad[4].tail.offset = 16;
	bad[5].count = 0;
	bad[6].from = -1;
	bad[7].partition = -1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct archive_buffer text = { 0 };

		archive_manifest_write(&text, &bad[i]);
		assert_int_equal(archive_manifest_read((struct text){ text.at, text.len }, &got), -1);
		archive_buffer_release(&text);
	}
}

static void test_note(void **state)
{
	const struct archive_note note = { "c/t", 12, 1780000000000 };
	struct archive_buffer text = { 0 };
	struct archive_note got;

	(void)state;
	archive_note_write(&text, &note);
	assert_int_equal(archive_note_read((struct text){ text.at, text.len }, &got), 0);
	assert_string_equal(got.log, "c/t");
	assert_true(got.n_partitions == 12 && got.archived_ms == note.archived_ms);
	text.at[text.len / 2] ^= 1;
	assert_int_equal(archive_note_read((struct text){ text.at, text.len }, &got), -1);
	archive_buffer_release(&text);
}

/* --- ranges --- */

static void test_ranges(void **state)
{
	static const char *const bad[] = { "1", "1:2", "1:2-", "1:3-2", "-1:2-3", "1:2-3,4:5-6", "1:2-3x",
		"1 :2-3", "01:2-3" };
	struct ranges ranges = { 0 };
	char *text;

	(void)state;
	assert_int_equal(ranges_parse(&ranges, " 1:5-7 2:0-9223372036854775807 1:7-9 3:4-4 "), 0);
	assert_int_equal(ranges_parse(&ranges, ""), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ranges_parse(&ranges, bad[i]), -1);
	text = ranges_text(&ranges);
	assert_string_equal(text, "1:5-7 2:0-9223372036854775807 1:7-9");
	free(text);
	assert_true(ranges_have(&ranges, (struct range){ 1, 5, 9 }));
	assert_true(ranges_have(&ranges, (struct range){ 1, 6, 8 }));
	assert_true(ranges_have(&ranges, (struct range){ 2, 1000, 1001 }));
	assert_false(ranges_have(&ranges, (struct range){ 1, 5, 10 }));
	assert_false(ranges_have(&ranges, (struct range){ 1, 4, 6 }));
	assert_false(ranges_have(&ranges, (struct range){ 3, 0, 1 }));
	ranges_release(&ranges);
}

/* --- plan --- */

static struct archive_file plan_file(int64_t from, int64_t to)
{
	return (struct archive_file){ .manifest = { .from = from, .to = to } };
}

static void check_plan(const struct archive_part *part, int64_t kafka_first, const char *wanted)
{
	char got[256] = "";
	size_t len = 0;
	struct plan_piece piece = plan_at(part, kafka_first, 0);

	for (;; piece = plan_at(part, kafka_first, piece.to)) {
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%c%" PRId64, len ? " " : "",
			"FGKE"[piece.source], piece.from);
		if (piece.source == PLAN_KAFKA || piece.source == PLAN_END)
			break;
	}
	assert_string_equal(got, wanted);
}

static void test_plan(void **state)
{
	struct archive_file files[] = { plan_file(0, 10), plan_file(5, 20), plan_file(8, 12),
		plan_file(30, 40), plan_file(40, 50), plan_file(60, 60), plan_file(70, 80) };
	struct archive_part part = { files, ARRAY_SIZE(files) }, none = { NULL, 0 };

	(void)state;
	check_plan(NULL, 0, "K0");
	check_plan(NULL, 7, "G0 K7");
	check_plan(&none, 7, "G0 K7");
	check_plan(&none, -1, "E0");
	check_plan(&part, 0, "F0 F10 K20");
	check_plan(&part, 25, "F0 F10 G20 K25");
	check_plan(&part, 30, "F0 F10 G20 F30 F40 K50");
	check_plan(&part, 55, "F0 F10 G20 F30 F40 G50 K55");
	check_plan(&part, 100, "F0 F10 G20 F30 F40 G50 G60 F70 G80 K100");
	check_plan(&part, -1, "F0 F10 G20 F30 F40 G50 G60 F70 E80");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_hostile_records),
		cmocka_unit_test(test_lines_that_are_none),
		cmocka_unit_test(test_manifest),
		cmocka_unit_test(test_manifests_that_cannot_be),
		cmocka_unit_test(test_note),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
