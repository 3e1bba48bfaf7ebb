/* Lines in files of zstd: what may be written can be read. */
#include "common/base.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/zstd_file.h"

enum { CHUNK = 1 << 20 };

static void write_line(struct zstd_writer *writer, int64_t len)
{
	SCOPED(xfreep) char *chunk = xmalloc(CHUNK);
	struct err err;

	memset(chunk, 'x', CHUNK);
	for (int64_t left = len - 1; left > 0; left -= CHUNK)
		assert_int_equal(zstd_writer_put(writer,
					 (struct text){ chunk, (size_t)(left < CHUNK ? left : CHUNK) }, &err),
			0);
	assert_int_equal(zstd_writer_put(writer, (struct text){ "\n", 1 }, &err), 0);
}

/* In front of, between and behind short ones, for lines do not begin where a buffer does. */
static void test_the_longest_line(void **state)
{
	static const int64_t lens[] = { 3, ZSTD_LINE_MAX, 1, ZSTD_LINE_MAX, 7 };
	char path[] = "/tmp/test_zstd_file.XXXXXX";
	int fd = mkstemp(path);
	struct zstd_writer *writer;
	struct zstd_reader *reader;
	struct zstd_sum sum;
	struct text line;
	struct err err;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(zstd_writer_open(path, &writer, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
		write_line(writer, lens[i]);
	assert_int_equal(zstd_writer_finish(writer, &sum, &err), 0);
	zstd_writer_close(writer);
	assert_int_equal(zstd_reader_open(path, &reader, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		assert_int_equal(zstd_reader_line(reader, &line, &err), 1);
		assert_int_equal(line.len, lens[i] - 1);
	}
	assert_int_equal(zstd_reader_line(reader, &line, &err), 0);
	assert_int_equal(zstd_reader_sum(reader).hash, sum.hash);
	zstd_reader_close(reader);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_longest_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
