#include "common/base.h"
#include "common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

enum { SECRET_ONE_MAX = 4096 };

static int secret_check(const char *what, const char *path, const struct stat *st, struct err *err)
{
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_USAGE, "%s: '%s' is no regular file", what, path);
	if (st->st_mode & (S_IWGRP | S_IRWXO))
		return err_set(err, ERR_USAGE,
			"%s: others may read or change '%s' (mode %04o), hint: chmod 600 or 640", what, path,
			(unsigned)(st->st_mode & 07777));
	return 0;
}

static int secret_read_fd(const char *what, const char *path, int fd, char *buf, size_t size, struct err *err)
{
	size_t len = 0;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		return err_set(err, ERR_USAGE, "%s: cannot look at '%s': %s", what, path, strerror(errno));
	if (secret_check(what, path, &st, err))
		return -1;
	while (len < size && (n = read(fd, buf + len, size - len)) != 0) {
		if (n < 0)
			return err_set(
				err, ERR_USAGE, "%s: cannot read '%s': %s", what, path, strerror(errno));
		len += (size_t)n;
	}
	if (len == size)
		return err_set(
			err, ERR_USAGE, "%s: '%s' is too large, hint: less than %zu bytes", what, path, size);
	buf[len] = 0;
	if (memchr(buf, 0, len))
		return err_set(err, ERR_USAGE, "%s: '%s' is no text: it holds a NUL", what, path);
	return 0;
}

int secret_read(const char *what, const char *path, char *buf, size_t size, struct err *err)
{
	/* a FIFO would make us wait for who writes it */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), status;

	if (fd < 0)
		return err_set(err, ERR_USAGE, "%s: cannot open '%s': %s", what, path, strerror(errno));
	status = secret_read_fd(what, path, fd, buf, size, err);
	close(fd);
	if (status)
		explicit_bzero(buf, size);
	return status;
}

char *secret_line(char **at)
{
	static const char blanks[] = " \t\r\n\v\f";
	char *line = *at + strspn(*at, blanks), *end;

	if (!*line) {
		*at = line;
		return NULL;
	}
	end = line + strcspn(line, "\n");
	*at = end + (*end == '\n');
	while (end > line && strchr(blanks, end[-1]))
		end--;
	*end = 0;
	return line;
}

int secret_read_one(const char *what, const char *path, char **ret_secret, struct err *err)
{
	char text[SECRET_ONE_MAX], *at = text, *line;
	int status = 0;

	if (secret_read(what, path, text, sizeof(text), err))
		return -1;
	line = secret_line(&at);
	if (!line || secret_line(&at))
		status = err_set(err, ERR_USAGE, "%s: '%s' %s, hint: one line", what, path,
			line ? "has more than one line" : "is empty");
	else
		*ret_secret = xstrdup(line);
	explicit_bzero(text, sizeof(text));
	return status;
}

void secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}
