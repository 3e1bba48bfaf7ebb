/* The rows of the table of settings; config.c reads values by them. */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include "common/config.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

enum setting_kind {
	SETTING_TEXT,
	SETTING_SECRET,
	SETTING_WORD,
	SETTING_NUMBER,
	SETTING_DURATION,
	SETTING_SIZE,
	SETTING_SWITCH,
	SETTING_RANGES, /* may be given more than once: adds up */
};

struct setting {
	const char *flag; /* without the dashes; the variable is LAMBDA_ and the same in upper case */
	const char *meta;
	enum setting_kind kind;
	unsigned programs;
	size_t offset; /* of its member in struct config */
	int64_t min, max; /* of the number, or of the text's length */
	const char *fallback;
	const char *help;
	const char *words; /* of SETTING_WORD: what is allowed, separated by blanks */
};

extern const struct setting settings[];
extern const size_t settings_n;

#endif
