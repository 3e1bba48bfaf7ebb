/* Command-line options from a table: one row feeds parsing, range check and help. Pure. */
#ifndef ORDERS_OPTIONS_H
#define ORDERS_OPTIONS_H

#include "common/err.h"

enum option_kind {
	OPTION_FLAG, /* bool */
	OPTION_COUNT, /* uint64_t from min to max */
	OPTION_SHARE, /* uint64_t in 2^-32, from a decimal from 0 to 0.9 */
	OPTION_TIME, /* int64_t: milliseconds since 1970, from RFC 3339; from 1981 to the end of 2198 */
	OPTION_TEXT, /* const char *, borrowed from argv */
	OPTION_LIST, /* struct option_list: may be given again and again */
};

#define OPTION_LIST_MAX 32
struct option_list {
	const char *items[OPTION_LIST_MAX];
	unsigned n;
};

struct option {
	const char *name; /* "--count", or "-X" */
	const char *arg; /* what the help calls its value; NULL for a flag */
	enum option_kind kind;
	size_t offset; /* into the caller's struct */
	uint64_t min, max;
	const char *help;
};

/* Reads argv into *target. At most one argument that is no option: *ret_operand, or NULL. ret_help: --help
 * was asked for. ERR_USAGE names the option, the value and what is allowed. */
MUST_USE int options_parse(const struct option *options, size_t n, void *target, int argc, char **argv,
	const char **ret_operand, bool *ret_help, struct err *err);

void options_help(const struct option *options, size_t n, FILE *out);

#endif
