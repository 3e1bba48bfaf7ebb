#include "common/base.h"
#include "batch/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/mem.h"

void spill_release(struct spill *spill)
{
	if (spill->dir && spill->fd >= 0)
		close(spill->fd);
	*spill = SPILL_NONE(NULL);
}

static int spill_open(struct spill *spill, struct err *err)
{
	SCOPED(xfreep) char *path = xasprintf("%s/lambda-batch.XXXXXX", spill->dir);

	spill->fd = mkostemp(path, O_CLOEXEC);
	if (spill->fd < 0)
		return err_set(err, ERR_IO, "cannot write to the spill directory '%s': %s; hint: --spill-dir",
			spill->dir, strerror(errno));
	unlink(path);
	return 0;
}

int spill_write(struct spill *spill, const void *data, size_t len, struct err *err)
{
	const unsigned char *at = data;

	if (spill->fd < 0 && spill_open(spill, err))
		return -1;
	while (len) {
		ssize_t n = pwrite(spill->fd, at, len, spill->bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_IO,
				"cannot spill to '%s' (%" PRId64 " MiB so far): %s; "
				"hint: --spill-dir on a larger disk, or more --memory",
				spill->dir, spill->bytes >> 20, n ? strerror(errno) : "nothing was written");
		at += n;
		len -= (size_t)n;
		spill->bytes += n;
	}
	return 0;
}

int spill_read(const struct spill *spill, int64_t at, void *data, size_t len, struct err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(spill->fd, (unsigned char *)data + done, len - done, at + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_IO, "cannot read the spill file in '%s' again: %s",
				spill->dir, n ? strerror(errno) : "it is too short");
		done += (size_t)n;
	}
	return 0;
}
