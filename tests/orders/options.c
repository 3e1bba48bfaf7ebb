#include "common/base.h"
#include "tests/orders/options.h"
#include "tests/orders/text.h"

#include <ctype.h>

static int parse_count(const struct option *o, const char *value, uint64_t *ret, struct err *err)
{
	uint64_t n = 0;
	bool ok = *value != '\0';

	for (const char *p = value; *p && ok; p++) {
		ok = isdigit((unsigned char)*p) && n <= (UINT64_MAX - 9) / 10;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (!ok || n < o->min || n > o->max)
		return err_set(err, ERR_USAGE,
			"%s: '%s': a whole number from %" PRIu64 " to %" PRIu64 " is expected", o->name,
			value, o->min, o->max);
	*ret = n;
	return 0;
}

/* by whole numbers, so that a share is the same on every machine */
static int parse_share(const struct option *o, const char *value, uint64_t *ret, struct err *err)
{
	const char *p = value;
	uint64_t n = 0, scale = 1;

	if (*p == '0' && (p[1] == '.' || p[1] == '\0'))
		p++;
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p) && scale < 1000000000; p++, scale *= 10)
			n = n * 10 + (uint64_t)(*p - '0');
	if (p == value || *p || n * 10 > scale * 9)
		return err_set(err, ERR_USAGE, "%s: '%s': a share from 0 to 0.9 is expected, such as 0.01",
			o->name, value);
	*ret = (n << 32) / scale;
	return 0;
}

/* Reads `width` digits at *p and then the character `after` (0: none); false if they are not there. */
static bool take(const char **p, unsigned width, char after, unsigned *ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < width; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		n = n * 10 + (unsigned)(**p - '0');
	}
	*ret = n;
	return !after || *(*p)++ == after;
}

static bool take_offset(const char **p, int *ret_min)
{
	unsigned h, m;
	char sign = *(*p)++;

	if (sign == 'Z') {
		*ret_min = 0;
		return true;
	}
	if ((sign != '+' && sign != '-') || !take(p, 2, ':', &h) || !take(p, 2, 0, &m) || h > 23 || m > 59)
		return false;
	*ret_min = (int)(h * 60 + m) * (sign == '-' ? -1 : 1);
	return true;
}

static int parse_time(const struct option *o, const char *value, int64_t *ret, struct err *err)
{
	const char *p = value;
	unsigned year, month, day, h, m, s, ms = 0;
	int offset_min;
	bool ok = take(&p, 4, '-', &year) && take(&p, 2, '-', &month) && take(&p, 2, 'T', &day) &&
		  take(&p, 2, ':', &h) && take(&p, 2, ':', &m) && take(&p, 2, 0, &s);

	if (ok && *p == '.') {
		p++;
		ok = take(&p, 3, 0, &ms);
	}
	ok = ok && take_offset(&p, &offset_min) && !*p;
	ok = ok && year >= 1981 && year <= 2198 && month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
	     h < 24 && m < 60 && s < 60;
	if (!ok)
		return err_set(err, ERR_USAGE, "%s: '%s': a time such as 2026-11-23T10:00:00Z is expected",
			o->name, value);
	*ret = ((days_of_date(year, month, day) * 24 + h) * 60 + m - offset_min) * 60000 + s * 1000 + ms;
	return 0;
}

static int store(const struct option *o, const char *value, void *target, struct err *err)
{
	void *field = (char *)target + o->offset;
	struct option_list *list;

	assert(value || o->kind == OPTION_FLAG);
	switch (o->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_COUNT:
		return parse_count(o, value, field, err);
	case OPTION_SHARE:
		return parse_share(o, value, field, err);
	case OPTION_TIME:
		return parse_time(o, value, field, err);
	case OPTION_TEXT:
		*(const char **)field = value;
		return 0;
	case OPTION_LIST:
		list = field;
		if (list->n == OPTION_LIST_MAX)
			return err_set(
				err, ERR_USAGE, "%s: given more than %d times", o->name, OPTION_LIST_MAX);
		list->items[list->n++] = value;
		return 0;
	}
	return 0;
}

/* The row of "--name", "--name=value" (then *ret_value points behind the =), "-X" or "-Xvalue". */
static const struct option *find(const struct option *options, size_t n, char *arg, const char **ret_value)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(options[i].name);

		if (strncmp(arg, options[i].name, len) != 0)
			continue;
		*ret_value = NULL;
		if (!arg[len])
			return &options[i];
		*ret_value = arg + len + (len > 2);
		if (len == 2 || arg[len] == '=')
			return &options[i];
	}
	return NULL;
}

int options_parse(const struct option *options, size_t n, void *target, int argc, char **argv,
	const char **ret_operand, bool *ret_help, struct err *err)
{
	*ret_operand = NULL;
	*ret_help = false;
	for (int i = 0; i < argc; i++) {
		const char *value = NULL;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*ret_help = true;
			return 0;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (*ret_operand)
				return err_set(err, ERR_USAGE, "unexpected argument '%s'", argv[i]);
			*ret_operand = argv[i];
			continue;
		}
		const struct option *o = find(options, n, argv[i], &value);
		if (!o)
			return err_set(err, ERR_USAGE, "unknown option '%s'", argv[i]);
		if (!o->arg && value)
			return err_set(err, ERR_USAGE, "%s takes no value", o->name);
		if (o->arg && !value) {
			if (i + 1 == argc)
				return err_set(err, ERR_USAGE, "%s: %s is missing", o->name, o->arg);
			value = argv[++i];
		}
		if (store(o, value, target, err))
			return -1;
	}
	return 0;
}

void options_help(const struct option *options, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		const char *arg = options[i].arg ? options[i].arg : "";
		int pad = 28 - (int)strlen(options[i].name) - (int)strlen(arg);

		fprintf(out, "  %s %s%*s%s\n", options[i].name, arg, pad > 0 ? pad : 1, "", options[i].help);
	}
}
