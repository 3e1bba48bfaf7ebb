/* Failures: a function that can fail returns -1 and fills a struct err; expected outcomes are ordinary return
 * values. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include "common/base.h"

/* name, exit status (sysexits.h), HTTP status */
#define ERR_CODES(X) \
	X(USAGE, 64, 400) \
	X(DATA, 65, 500) \
	X(NO_INPUT, 66, 404) \
	X(KAFKA, 69, 503) \
	X(REDIS, 69, 503) \
	X(DATABASE, 69, 503) \
	X(INTERNAL, 70, 500) \
	X(OS, 71, 500) \
	X(IO, 74, 500) \
	X(BUSY, 75, 503) \
	X(SUPERSEDED, 75, 503) \
	X(STOPPED, 75, 503)

enum err_code {
	ERR_NONE,
#define X(name, exit_status, http_status) ERR_##name,
	ERR_CODES(X)
#undef X
};

struct err {
	enum err_code code;
	char msg[768]; /* lower case, no full stop, foreign text in 'quotes', advice after "hint:", never a
			  secret */
};

/* Fills *err (an earlier content is lost) and returns -1, so that a caller can return it. */
#define err_set(err, ...) (err_fill(err, __VA_ARGS__), err_minus_one()) /* so that analyzers see the -1 */
static inline int err_minus_one(void)
{
	return -1;
}
void err_fill(struct err *err, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the message; keeps the code. Returns -1. Once per layer. */
int err_wrap(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

const char *err_name(enum err_code code);
int err_exit_status(enum err_code code); /* 0 for ERR_NONE */
int err_http_status(enum err_code code);

#endif
