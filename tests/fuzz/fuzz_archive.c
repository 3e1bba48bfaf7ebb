/* What an archive is read from: a letter says what the rest is. l: a line; m: a manifest; n: a note; M, N:
 * the same with its checksum put right, which else no input would get past; r: ranges; z: a compressed file.
 * What must hold:
 * - a line that is read is a record that can be written, and is read again as the same; what is written is
 * one line of JSON
 * - a manifest or note that is read, written anew, is the same bytes
 * - ranges as text are the same ranges
 * - a file gives lines, an end or an error, and each line lies in memory */
#include "common/base.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/archive_line.h"
#include "common/archive_manifest.h"
#include "common/kernel/hash.h"
#include "common/kernel/json.h"
#include "common/mem.h"
#include "common/ranges.h"
#include "common/zstd_file.h"
#include "tests/fuzz/fuzz.h"

/* --- lines --- */

static void check_same(const struct archive_record *a, const struct archive_record *b)
{
	assert(a->offset == b->offset && a->timestamp_ms == b->timestamp_ms && a->n_headers == b->n_headers);
	assert(fuzz_same(a->key, b->key) && fuzz_same(a->value, b->value));
	for (size_t i = 0; i < a->n_headers; i++) {
		assert(fuzz_same(a->headers[i].name, b->headers[i].name));
		assert(fuzz_same(a->headers[i].value, b->headers[i].value));
	}
}

static void check_json(struct text line)
{
	struct json json;

	assert(line.len && memchr(line.at, '\n', line.len) == line.at + line.len - 1 &&
		!memchr(line.at, '\r', line.len));
	json_init(&json, line.at, line.len);
	assert(json_value(&json) == JSON_OBJECT && json_drain(&json) == JSON_END && !json.any_unstorable);
}

static void try_line(struct text line)
{
	struct archive_line room = { 0 }, room_again = { 0 };
	struct archive_buffer out = { 0 };
	struct archive_record record, again;

	if (!archive_line_read(&room, line, &record)) {
		archive_line_write(&out, &record);
		check_json((struct text){ out.at, out.len });
		if (archive_line_read(&room_again, (struct text){ out.at, out.len - 1 }, &again))
			assert(0 && "what was written cannot be read");
		check_same(&record, &again);
	}
	archive_buffer_release(&out);
	archive_line_release(&room_again);
	archive_line_release(&room);
}

/* The input as the value, the key and a header of a record: any bytes can be written. */
static void try_record(struct text bytes)
{
	struct archive_header header = { bytes, bytes };
	struct archive_record record = { 1, 2, bytes, bytes, &header, 1 }, again;
	struct archive_line room = { 0 };
	struct archive_buffer out = { 0 };

	archive_line_write(&out, &record);
	check_json((struct text){ out.at, out.len });
	if (archive_line_read(&room, (struct text){ out.at, out.len - 1 }, &again))
		assert(0 && "what was written cannot be read");
	check_same(&record, &again);
	archive_buffer_release(&out);
	archive_line_release(&room);
}

/* --- manifests --- */

static void try_manifest(struct text text, bool is_note)
{
	struct archive_buffer out = { 0 };
	struct archive_manifest manifest;
	struct archive_note note;

	if (is_note ? archive_note_read(text, &note) : archive_manifest_read(text, &manifest))
		return;
	if (is_note)
		archive_note_write(&out, &note);
	else
		archive_manifest_write(&out, &manifest);
	assert(out.at && fuzz_same(text, (struct text){ out.at, out.len }));
	archive_buffer_release(&out);
}

/* Behind the input the end that makes it whole. */
static void try_mended(struct text text, bool is_note)
{
	struct archive_buffer out = { 0 };
	char *copy;

	archive_put(&out, text.at, text.len);
	archive_put_word(&out, ",\"check\":");
	archive_put_hash(&out, hash_64(text.at, text.len));
	archive_put_word(&out, "}\n");
	copy = fuzz_copy(out.at, out.len);
	try_manifest((struct text){ copy, out.len }, is_note);
	free(copy);
	archive_buffer_release(&out);
}

static void try_ranges(struct text text)
{
	SCOPED(xfreep) char *given = xstrndup(text.at, text.len);
	struct ranges ranges = { 0 }, again = { 0 };

	if (!ranges_parse(&ranges, given)) {
		SCOPED(xfreep) char *shown = ranges_text(&ranges);

		assert(!ranges_parse(&again, shown) && again.n == ranges.n);
		for (size_t i = 0; i < ranges.n; i++) {
			assert(ranges.at[i].partition == again.at[i].partition &&
				ranges.at[i].from == again.at[i].from);
			assert(ranges.at[i].to == again.at[i].to && ranges_have(&ranges, again.at[i]));
		}
	}
	ranges_release(&ranges);
	ranges_release(&again);
}

/* --- files --- */

static void try_file(struct text bytes)
{
	int fd = memfd_create("fuzz", 0);
	struct zstd_reader *reader;
	struct err err = { 0 };
	struct text line;
	char path[64];
	int more = -1;

	assert(fd >= 0 && write(fd, bytes.at, bytes.len) == (ssize_t)bytes.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (zstd_reader_open(path, &reader, &err))
		abort();
	for (int n = 0; n < 1000 && (more = zstd_reader_line(reader, &line, &err)) > 0; n++)
		assert(!line.len || !memchr(line.at, '\n', line.len));
	assert(more >= 0 || (err.code && *err.msg));
	if (!more)
		assert(zstd_reader_sum(reader).bytes == (int64_t)bytes.len);
	zstd_reader_close(reader);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text rest = { NULL, size ? size - 1 : 0 };
	char *copy;

	if (!size)
		return 0;
	copy = fuzz_copy(data + 1, rest.len);
	rest.at = copy;
	if (*data == 'm' || *data == 'n')
		try_manifest(rest, *data == 'n');
	else if (*data == 'M' || *data == 'N')
		try_mended(rest, *data == 'N');
	else if (*data == 'r')
		try_ranges(rest);
	else if (*data == 'z')
		try_file(rest);
	else
		try_line(rest);
	try_record(rest);
	free(copy);
	return 0;
}
