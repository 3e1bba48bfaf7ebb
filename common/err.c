#include "common/base.h"
#include "common/err.h"

#include <stdarg.h>

static const struct {
	const char *name;
	int exit_status, http_status;
} err_table[] = { [ERR_NONE] = { "none", 0, 200 },
#define X(name, exit_status, http_status) [ERR_##name] = { #name, exit_status, http_status },
	ERR_CODES(X)
#undef X
};

void err_fill(struct err *err, enum err_code code, const char *format, ...)
{
	char msg[sizeof(err->msg)]; /* an argument may be the old message */
	va_list ap;

	va_start(ap, format);
	vsnprintf(msg, sizeof(msg), format, ap);
	va_end(ap);
	memcpy(err->msg, msg, sizeof(msg));
	err->code = code;
}

int err_wrap(struct err *err, const char *format, ...)
{
	char msg[sizeof(err->msg)];
	va_list ap;
	size_t len;

	va_start(ap, format);
	vsnprintf(msg, sizeof(msg), format, ap);
	va_end(ap);
	len = strlen(msg);
	snprintf(msg + len, sizeof(msg) - len, ": %.*s", (int)(sizeof(msg) - len), err->msg);
	memcpy(err->msg, msg, sizeof(msg));
	return -1;
}

const char *err_name(enum err_code code)
{
	return err_table[code].name;
}

int err_exit_status(enum err_code code)
{
	return err_table[code].exit_status;
}

int err_http_status(enum err_code code)
{
	return err_table[code].http_status;
}
