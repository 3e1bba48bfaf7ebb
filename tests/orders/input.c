#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/input.h"

#include <errno.h>
#include <zstd.h>

#define INPUT_MAX (UINT64_C(4) << 30)
#define CHUNK (1 << 20)

static int read_all(FILE *in, const char *file, struct text *ret, struct err *err)
{
	size_t n;

	while ((n = fread(text_reserve(ret, CHUNK), 1, CHUNK, in)) > 0) {
		ret->len += n;
		if (ret->len > INPUT_MAX)
			return err_set(err, ERR_DATA, "'%s' is over 4 GiB", file);
	}
	if (ferror(in))
		return err_set(err, ERR_NO_INPUT, "cannot read '%s': %s", file, strerror(errno));
	return 0;
}

static int unpack(const char *file, const struct text *packed, struct text *ret, struct err *err)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer in = { packed->data, packed->len, 0 };
	size_t code = 1;
	int rc = 0;

	if (!z)
		return err_set(err, ERR_OS, "zstd: out of memory");
	while (rc == 0 && (in.pos < in.size || code != 0)) {
		size_t at = in.pos;
		ZSTD_outBuffer out = { text_reserve(ret, CHUNK), CHUNK, 0 };

		code = ZSTD_decompressStream(z, &out, &in);
		ret->len += out.pos;
		if (ZSTD_isError(code))
			rc = err_set(
				err, ERR_DATA, "'%s' is broken: zstd: '%s'", file, ZSTD_getErrorName(code));
		else if (out.pos == 0 && in.pos == at)
			rc = err_set(
				err, ERR_DATA, "'%s' is broken: it ends in the middle of a zstd frame", file);
		else if (ret->len > INPUT_MAX)
			rc = err_set(err, ERR_DATA, "'%s' is over 4 GiB when decompressed", file);
	}
	ZSTD_freeDStream(z);
	return rc;
}

int input_read(const char *file, struct text *ret, struct err *err)
{
	FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	struct text raw = { 0 }, plain = { 0 };

	if (!in)
		return err_set(err, ERR_NO_INPUT, "cannot open '%s': %s", file, strerror(errno));
	int rc = read_all(in, file, &raw, err);
	if (in != stdin)
		fclose(in);
	if (rc == 0 && raw.len >= 4 && memcmp(raw.data, "\x28\xb5\x2f\xfd", 4) == 0) {
		rc = unpack(file, &raw, &plain, err);
		text_release(&raw);
		raw = plain;
	}
	if (rc)
		text_release(&raw);
	else
		*ret = raw;
	return rc;
}
