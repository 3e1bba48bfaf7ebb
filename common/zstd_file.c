#include "common/base.h"
#include "common/zstd_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include "common/kernel/hash.h"
#include "common/mem.h"

enum {
	ZSTD_LEVEL = 3,
	ZSTD_WINDOW_LOG_MAX = 23, /* 8 MiB: what a reader must hold; level 3 takes 2 MiB */
	ZSTD_CHUNK = 1 << 17,
	ZSTD_READER_MAX = ZSTD_LINE_MAX + ZSTD_CHUNK, /* a line of the greatest length, and room for more */
};

static XXH3_state_t *zstd_hash_new(void)
{
	XXH3_state_t *state = XXH3_createState();

	assert(state);
	XXH3_64bits_reset(state);
	return state;
}

/* --- writing --- */

struct zstd_writer {
	int fd;
	char *path; /* owned, as all here */
	ZSTD_CCtx *context;
	XXH3_state_t *hash;
	char *chunk;
	int64_t bytes;
};

int zstd_writer_open(const char *path, struct zstd_writer **ret_writer, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct zstd_writer *writer;

	if (fd < 0)
		return err_set(err, ERR_IO, "cannot write '%s': %s", path, strerror(errno));
	writer = xcalloc(1, sizeof(*writer));
	*writer = (struct zstd_writer){ fd, xstrdup(path), ZSTD_createCCtx(), zstd_hash_new(),
		xmalloc(ZSTD_CHUNK), 0 };
	assert(writer->context);
	ZSTD_CCtx_setParameter(writer->context, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(writer->context, ZSTD_c_checksumFlag, 1);
	*ret_writer = writer;
	return 0;
}

static int zstd_writer_write(struct zstd_writer *writer, const char *at, size_t len, struct err *err)
{
	XXH3_64bits_update(writer->hash, at, len);
	writer->bytes += (int64_t)len;
	while (len) {
		ssize_t n = write(writer->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_IO, "cannot write '%s': %s", writer->path, strerror(errno));
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int zstd_writer_compress(
	struct zstd_writer *writer, struct text bytes, ZSTD_EndDirective end, struct err *err)
{
	ZSTD_inBuffer in = { bytes.at, bytes.len, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { writer->chunk, ZSTD_CHUNK, 0 };

		left = ZSTD_compressStream2(writer->context, &out, &in, end);
		if (ZSTD_isError(left))
			return err_set(err, ERR_INTERNAL, "zstd: '%s'", ZSTD_getErrorName(left));
		if (zstd_writer_write(writer, writer->chunk, out.pos, err))
			return -1;
	} while (in.pos < in.size || (end == ZSTD_e_end && left));
	return 0;
}

int zstd_writer_put(struct zstd_writer *writer, struct text bytes, struct err *err)
{
	return zstd_writer_compress(writer, bytes, ZSTD_e_continue, err);
}

int zstd_writer_finish(struct zstd_writer *writer, struct zstd_sum *ret_sum, struct err *err)
{
	if (zstd_writer_compress(writer, (struct text){ NULL, 0 }, ZSTD_e_end, err))
		return -1;
	if (fsync(writer->fd))
		return err_set(err, ERR_IO, "cannot write '%s': %s", writer->path, strerror(errno));
	*ret_sum = (struct zstd_sum){ writer->bytes, XXH3_64bits_digest(writer->hash) };
	return 0;
}

void zstd_writer_close(struct zstd_writer *writer)
{
	if (!writer)
		return;
	close(writer->fd);
	ZSTD_freeCCtx(writer->context);
	XXH3_freeState(writer->hash);
	free(writer->chunk);
	free(writer->path);
	free(writer);
}

/* --- reading --- */

struct zstd_reader {
	int fd;
	char *path; /* owned, as all here */
	ZSTD_DCtx *context;
	XXH3_state_t *hash;
	char *chunk; /* compressed */
	ZSTD_inBuffer in; /* of it */
	char *text; /* [line, end) is decompressed and not taken yet; [line, searched) has no line feed */
	size_t size, line, searched, end;
	int64_t bytes;
	bool ended; /* of the file */
	bool whole; /* no frame is open */
};

int zstd_reader_open(const char *path, struct zstd_reader **ret_reader, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct zstd_reader *reader;

	if (fd < 0)
		return err_set(err, ERR_NO_INPUT, "cannot read '%s': %s", path, strerror(errno));
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	reader = xcalloc(1, sizeof(*reader));
	*reader = (struct zstd_reader){ .fd = fd,
		.path = xstrdup(path),
		.context = ZSTD_createDCtx(),
		.hash = zstd_hash_new(),
		.chunk = xmalloc(ZSTD_CHUNK),
		.text = xmalloc(2 * ZSTD_CHUNK),
		.size = 2 * ZSTD_CHUNK };
	assert(reader->context);
	ZSTD_DCtx_setParameter(reader->context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	*ret_reader = reader;
	return 0;
}

static int zstd_reader_damaged(const struct zstd_reader *reader, const char *how, struct err *err)
{
	return err_set(err, ERR_DATA, "'%s' is damaged: %s", reader->path, how);
}

static int zstd_reader_fill(struct zstd_reader *reader, struct err *err)
{
	ssize_t n;

	do
		n = read(reader->fd, reader->chunk, ZSTD_CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, ERR_NO_INPUT, "cannot read '%s': %s", reader->path, strerror(errno));
	XXH3_64bits_update(reader->hash, reader->chunk, (size_t)n);
	reader->bytes += n;
	reader->in = (ZSTD_inBuffer){ reader->chunk, (size_t)n, 0 };
	reader->ended = n == 0;
	return 0;
}

/* Room for what comes behind `end`; -1 when the line is too long. */
static int zstd_reader_room(struct zstd_reader *reader, struct err *err)
{
	if (reader->size - reader->end >= ZSTD_CHUNK)
		return 0;
	memmove(reader->text, reader->text + reader->line, reader->end - reader->line);
	reader->searched -= reader->line;
	reader->end -= reader->line;
	reader->line = 0;
	if (reader->size - reader->end >= ZSTD_CHUNK)
		return 0;
	if (reader->size == ZSTD_READER_MAX)
		return zstd_reader_damaged(reader, "a line is too long", err);
	reader->size = reader->size < ZSTD_READER_MAX / 2 ? 2 * reader->size : ZSTD_READER_MAX;
	reader->text = xrealloc(reader->text, reader->size);
	return 0;
}

/* More text: 1, 0 at the end, -1. */
static int zstd_reader_more(struct zstd_reader *reader, struct err *err)
{
	if (zstd_reader_room(reader, err))
		return -1;
	for (;;) {
		ZSTD_outBuffer out = { reader->text + reader->end, reader->size - reader->end, 0 };
		size_t left;

		if (reader->in.pos == reader->in.size && zstd_reader_fill(reader, err))
			return -1;
		left = ZSTD_decompressStream(reader->context, &out, &reader->in);
		if (ZSTD_isError(left))
			return zstd_reader_damaged(reader, ZSTD_getErrorName(left), err);
		if (!reader->ended ||
			out.pos) /* without input and output it has only begun to wait for a frame */
			reader->whole = left == 0;
		reader->end += out.pos;
		if (out.pos)
			return 1;
		if (reader->ended)
			return reader->whole ? 0 : zstd_reader_damaged(reader, "it is cut off", err);
	}
}

int zstd_reader_line(struct zstd_reader *reader, struct text *ret_line, struct err *err)
{
	for (;;) {
		const char *from = reader->text + reader->searched;
		const char *feed = memchr(from, '\n', reader->end - reader->searched);
		int more;

		if (feed) {
			size_t at = (size_t)(feed - reader->text);

			*ret_line = (struct text){ reader->text + reader->line, at - reader->line };
			reader->line = reader->searched = at + 1;
			return 1;
		}
		reader->searched = reader->end;
		more = zstd_reader_more(reader, err);
		if (more > 0)
			continue;
		if (!more && reader->line < reader->end)
			return zstd_reader_damaged(reader, "its last line has no end", err);
		return more;
	}
}

struct zstd_sum zstd_reader_sum(const struct zstd_reader *reader)
{
	return (struct zstd_sum){ reader->bytes, XXH3_64bits_digest(reader->hash) };
}

void zstd_reader_close(struct zstd_reader *reader)
{
	if (!reader)
		return;
	close(reader->fd);
	ZSTD_freeDCtx(reader->context);
	XXH3_freeState(reader->hash);
	free(reader->chunk);
	free(reader->text);
	free(reader->path);
	free(reader);
}
