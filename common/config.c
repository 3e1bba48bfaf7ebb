/* Reads settings. A value is text until it is checked against its row (settings.c); nothing else parses
 * settings. */
#include "common/base.h"
#include "common/config.h"

#include <errno.h>
#include <limits.h>
#include <strings.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/redis.h"
#include "common/secret.h"
#include "common/settings.h"
#include "common/zone.h"

enum { CONFIG_KAFKA_FILE_MAX = 1 << 16 };

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit duration_units[] = { { "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 },
	{ "d", DAY_MS } };
static const struct unit size_units[] = { { "B", 1 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 },
	{ "GiB", 1 << 30 } };

/* The member that a row is about. */
static void *setting_place(struct config *config, const struct setting *s)
{
	return (char *)config + s->offset;
}

/* A whole number with one of the units behind it, or without any where n_units is 0. */
static int config_number(const char *value, const struct unit *units, size_t n_units, int64_t *ret_number)
{
	char *end;
	long long number;

	if (*value < '0' || *value > '9')
		return -1;
	errno = 0;
	number = strtoll(value, &end, 10);
	if (errno)
		return -1;
	if (!n_units && !*end) {
		*ret_number = number;
		return 0;
	}
	for (size_t i = 0; i < n_units; i++)
		if (!strcasecmp(end, units[i].name))
			return __builtin_mul_overflow((int64_t)number, units[i].factor, ret_number) ? -1 : 0;
	return -1;
}

static size_t config_number_text(
	char *buf, size_t size, int64_t number, const struct unit *units, size_t n_units)
{
	for (size_t i = n_units; i-- > 0;)
		if (number && number % units[i].factor == 0)
			return (size_t)snprintf(
				buf, size, "%" PRId64 "%s", number / units[i].factor, units[i].name);
	return (size_t)snprintf(buf, size, "%" PRId64 "%s", number, n_units ? units[0].name : "");
}

static void setting_units(const struct setting *s, const struct unit **ret_units, size_t *ret_n)
{
	*ret_units = s->kind == SETTING_DURATION ? duration_units
		     : s->kind == SETTING_SIZE   ? size_units
						 : NULL;
	*ret_n = s->kind == SETTING_DURATION ? ARRAY_SIZE(duration_units)
		 : s->kind == SETTING_SIZE   ? ARRAY_SIZE(size_units)
					     : 0;
}

static int setting_set_number(
	struct config *config, const struct setting *s, const char *value, const char *from, struct err *err)
{
	const struct unit *units;
	size_t n_units;
	char min[32], max[32];
	int64_t number;

	setting_units(s, &units, &n_units);
	if (!config_number(value, units, n_units, &number) && number >= s->min && number <= s->max) {
		*(int64_t *)setting_place(config, s) = number;
		return 0;
	}
	config_number_text(min, sizeof(min), s->min, units, n_units);
	config_number_text(max, sizeof(max), s->max, units, n_units);
	return err_set(err, ERR_USAGE, "%s: '%s' is not allowed, hint: %s from %s to %s", from, value,
		s->kind == SETTING_DURATION ? "a time with its unit (ms, s, min, h, d)"
		: s->kind == SETTING_SIZE   ? "a size with its unit (B, KiB, MiB, GiB)"
					    : "a whole number",
		min, max);
}

static bool word_in(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *w = words; len && w; w = strchr(w, ' ') ? strchr(w, ' ') + 1 : NULL)
		if (!strncmp(w, word, len) && (w[len] == ' ' || !w[len]))
			return true;
	return false;
}

static int setting_set_text(
	struct config *config, const struct setting *s, const char *value, const char *from, struct err *err)
{
	size_t len = strlen(value);

	if (len < (size_t)s->min || len > (size_t)s->max)
		return err_set(err, ERR_USAGE,
			"%s: a text of %zu bytes is not allowed, hint: %" PRId64 " to %" PRId64 " bytes",
			from, len, s->min, s->max);
	*(const char **)setting_place(config, s) = value;
	return 0;
}

/* `from` names where the value stands, for the message: "--topic" or "LAMBDA_TOPIC". The value must live as
 * long as config. */
static int setting_set(
	struct config *config, const struct setting *s, const char *value, const char *from, struct err *err)
{
	bool *on = setting_place(config, s);

	switch (s->kind) {
	case SETTING_TEXT:
	case SETTING_SECRET:
		return setting_set_text(config, s, value, from, err);
	case SETTING_WORD:
		if (!word_in(s->words, value))
			return err_set(err, ERR_USAGE, "%s: '%s' is not allowed, hint: one of: %s", from,
				value, s->words);
		*(const char **)setting_place(config, s) = value;
		return 0;
	case SETTING_SWITCH:
		if (!word_in("yes no", value))
			return err_set(
				err, ERR_USAGE, "%s: '%s' is not allowed, hint: yes or no", from, value);
		*on = *value == 'y';
		return 0;
	case SETTING_RANGES:
		if (!ranges_parse(setting_place(config, s), value))
			return 0;
		return err_set(err, ERR_USAGE,
			"%s: '%s' is not allowed, hint: PARTITION:FROM-TO, where offset TO is the first that "
			"is there "
			"again",
			from, value);
	case SETTING_NUMBER:
	case SETTING_DURATION:
	case SETTING_SIZE:
		return setting_set_number(config, s, value, from, err);
	}
	assert(0 && "a kind of setting without a case");
	return -1;
}

static void setting_variable(const struct setting *s, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "LAMBDA_%s", s->flag);

	for (size_t i = 0; i < len; i++)
		buf[i] = buf[i] == '-' ? '_' : (char)(buf[i] >= 'a' && buf[i] <= 'z' ? buf[i] - 32 : buf[i]);
}

static int config_defaults(struct config *config, struct err *err)
{
	char variable[64];

	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];
		const char *value;

		if (setting_set(config, s, s->fallback, s->flag, err))
			assert(0 && "a default that its own row does not allow");
		if (!(s->programs & config->program))
			continue;
		setting_variable(s, variable, sizeof(variable));
		value = getenv(variable);
		if (value && setting_set(config, s, value, variable, err))
			return -1;
	}
	return 0;
}

static bool config_is_property(const char *text)
{
	return strchr(text, '=') && *text != '=';
}

static void config_add_property(struct config *config, const char *value)
{
	config->kafka_properties = xreallocarray(
		config->kafka_properties, config->n_kafka_properties + 1, sizeof(*config->kafka_properties));
	config->kafka_properties[config->n_kafka_properties++] = value;
}

static int config_property(struct config *config, const char *value, struct err *err)
{
	if (!config_is_property(value))
		return err_set(err, ERR_USAGE,
			"-X: '%s' is not allowed, hint: NAME=VALUE of a librdkafka property", value);
	config_add_property(config, value);
	return 0;
}

/* The file's properties, and behind them those of -X, which therefore win. */
static int config_kafka_file(struct config *config, struct err *err)
{
	static const char what[] = "--kafka-config";
	const char **given = config->kafka_properties;
	size_t n_given = config->n_kafka_properties;
	char *at, *line;
	int status = 0;

	if (!*config->kafka_config)
		return 0;
	at = config->kafka_text = xcalloc(1, CONFIG_KAFKA_FILE_MAX);
	if (secret_read(what, config->kafka_config, config->kafka_text, CONFIG_KAFKA_FILE_MAX, err))
		return -1;
	config->kafka_properties = NULL;
	config->n_kafka_properties = 0;
	for (unsigned i = 1; !status && (line = secret_line(&at)); i++) {
		if (*line == '#')
			continue;
		if (config_is_property(line))
			config_add_property(config, line);
		else
			status = err_set(err, ERR_USAGE, "%s: entry %u of '%s' is not NAME=VALUE", what, i,
				config->kafka_config);
	}
	for (size_t i = 0; i < n_given; i++)
		config_add_property(config, given[i]);
	free(given);
	return status;
}

static int config_redis_password(struct config *config, struct err *err)
{
	static const char what[] = "--redis-password-file";
	char *password = NULL;

	if (!*config->redis_password_file)
		return 0;
	if (secret_read_one(what, config->redis_password_file, &password, err))
		return -1;
	config->redis_whole = redis_uri_with_password(config->redis, password);
	secret_free(password);
	if (!config->redis_whole)
		return err_set(err, ERR_USAGE,
			"%s: the address of redis has a password already, hint: redis://[USER@]HOST:PORT",
			what);
	config->redis = config->redis_whole;
	return 0;
}

/* One argument that begins with a dash; may take the next as its value. */
static int config_flag(struct config *config, char **argv, int *at, struct err *err)
{
	const char *arg = argv[*at];
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
	char from[80];

	if (!strncmp(arg, "-X", 2) && config->program != CONFIG_SERVING) {
		const char *value = arg[2] ? arg + 2 : argv[*at + 1] ? argv[++*at] : "";

		return config_property(config, value, err);
	}
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];

		if (!(s->programs & config->program) || len != strlen(s->flag) + 2 ||
			strncmp(arg + 2, s->flag, len - 2) || strncmp(arg, "--", 2))
			continue;
		snprintf(from, sizeof(from), "--%s", s->flag);
		if (s->kind == SETTING_SWITCH)
			return setting_set(config, s, equals ? equals + 1 : "yes", from, err);
		if (!equals && !argv[*at + 1])
			return err_set(
				err, ERR_USAGE, "%s: a value is missing, hint: %s %s", from, from, s->meta);
		return setting_set(config, s, equals ? equals + 1 : argv[++*at], from, err);
	}
	return err_set(
		err, ERR_USAGE, "'%.*s' is no flag of this program, hint: --help lists them", (int)len, arg);
}

static void config_help(const struct config *config, const char *program_name, const char *usage)
{
	char left[64], variable[64];

	printf("usage: %s %s\n\nSettings, as a flag or as the variable behind it; a flag wins.\n",
		program_name, usage);
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];

		if (!(s->programs & config->program))
			continue;
		setting_variable(s, variable, sizeof(variable));
		snprintf(left, sizeof(left), "--%s%s%s", s->flag, s->meta ? " " : "", s->meta ? s->meta : "");
		printf("  %-30s %s\n  %-30s %s%s%s%s%s\n", left, s->help, "", variable,
			*s->fallback ? ", default " : "", s->fallback, s->words ? "; one of: " : "",
			s->words ? s->words : "");
	}
	if (config->program != CONFIG_SERVING)
		printf("  %-30s a property for librdkafka; may be repeated\n", "-X NAME=VALUE");
	printf("  %-30s\n  %-30s\n", "--help", "--version");
}

static enum log_level config_log_level(const char *name)
{
	return !strcmp(name, "error")  ? LOG_LEVEL_ERROR
	       : !strcmp(name, "warn") ? LOG_LEVEL_WARN
	       : !strcmp(name, "info") ? LOG_LEVEL_INFO
				       : LOG_LEVEL_DEBUG;
}

/* 1: --help or --version was answered. */
static int config_arguments(struct config *config, const char *program_name, const char *usage, int argc,
	char **argv, struct err *err)
{
	config->args = xcalloc((size_t)argc + 1, sizeof(*config->args));
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			config_help(config, program_name, usage);
			return 1;
		}
		if (!strcmp(argv[i], "--version")) {
			printf("%s %s (%s), kernel %d\n", program_name, LAMBDA_VERSION, build_id,
				KERNEL_VERSION);
			return 1;
		}
		if (argv[i][0] != '-' || !argv[i][1]) /* "-" is a file */
			config->args[config->n_args++] = argv[i];
		else if (config_flag(config, argv, &i, err))
			return -1;
	}
	return 0;
}

/* The name becomes part of key names and topics. */
static int config_check_name(const char *what, const char *value, struct err *err)
{
	for (const char *c = value; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c))
			return err_set(err, ERR_USAGE,
				"%s: '%s' is not allowed, hint: letters, digits, '.', '_' and '-'", what,
				value);
	return 0;
}

/* Addresses and files that no waiting would mend. */
static int config_check_addresses(struct config *config, struct err *err)
{
	struct redis_uri uri;

	if (config_redis_password(config, err) || config_kafka_file(config, err))
		return -1;
	if (redis_uri_parse(config->redis, &uri, err))
		return err_wrap(err, "--redis");
	redis_uri_release(&uri);
	if (pg_check_uri(config->postgres, err))
		return err_wrap(err, "--postgres");
	return 0;
}

int config_load(struct config *config, enum config_program program, const char *program_name,
	const char *usage, int argc, char **argv, struct err *err)
{
	int asked;

	memset(config, 0, sizeof(*config));
	config->program = program;
	log_init(program_name, LOG_LEVEL_INFO);
	if (config_defaults(config, err))
		return -1;
	asked = config_arguments(config, program_name, usage, argc, argv, err);
	if (asked)
		return asked;
	if (config_check_name("--name", config->name, err) ||
		config_check_name("--topic", config->topic, err) ||
		config_check_name("--version", config->version, err))
		return -1;
	if (config_check_addresses(config, err))
		return -1;
	log_init(program_name, config_log_level(config->log_level));
	if (zone_load(config->time_zone, &config->calendar, err))
		return err_wrap(err, "--time-zone");
	config->rules = (struct fold_rules){
		.calendar = &config->calendar,
		.horizon_records = config->horizon_records,
		.horizon_ms = config->horizon_ms,
		.grace_ms = config->grace_ms,
		.max_skew_ms = config->max_skew_ms,
		.exclude_late = !strcmp(config->late, "exclude"),
		.customers = !strcmp(config->customers, "yes"),
	};
	return 0;
}

void config_release(struct config *config)
{
	calendar_release(&config->calendar);
	free(config->kafka_properties);
	free(config->args);
	ranges_release(&config->accept_lost);
	secret_free(config->redis_whole);
	free(config->kafka_text);
	memset(config, 0, sizeof(*config));
}

/* Where words or parameters begin that may hold a password, in a libpq URI or conninfo text: "password =",
 * and in a URI a name with escapes, which may mean that. NULL: nowhere. */
static const char *config_secret_word(const char *text)
{
	for (const char *word = text; (word = strcasestr(word, "password")); word++) {
		const char *behind = word + strlen("password");

		if (behind[strspn(behind, " \t\n\r\f\v")] == '=')
			return word;
	}
	for (const char *mark = strpbrk(text, "?&"); mark; mark = strpbrk(mark + 1, "?&"))
		if (memchr(mark, '%', strcspn(mark, "=")))
			return mark + 1;
	return NULL;
}

/* A password stands in "scheme://user:SECRET@", or behind such a word: nobody should have to find out how it
 * is quoted, so nothing is shown from there on. */
char *config_redacted(const char *uri)
{
	const char *authority = strstr(uri, "://");
	const char *at = authority ? strrchr(authority, '@') : NULL;
	const char *colon = authority ? strchr(authority + 3, ':') : NULL;
	const char *word;
	char *text;

	if (at && colon && colon < at)
		text = xasprintf("%.*s:***%s", (int)(colon - uri), uri, at);
	else
		text = xstrdup(uri);
	word = config_secret_word(text);
	if (word) {
		SCOPED(xfreep) char *whole = text;

		text = xasprintf("%.*spassword=***", (int)(word - whole), whole);
	}
	return text;
}

void config_log(const struct config *config)
{
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];
		const void *member = (const char *)config + s->offset;
		const struct unit *units;
		size_t n_units;
		char number[32];

		if (!(s->programs & config->program))
			continue;
		setting_units(s, &units, &n_units);
		if (s->kind == SETTING_SWITCH) {
			log_info("setting %s=%s", s->flag, *(const bool *)member ? "yes" : "no");
		} else if (s->kind == SETTING_RANGES) {
			SCOPED(xfreep) char *shown = ranges_text(member);

			log_info("setting %s=%s", s->flag, shown);
		} else if (s->kind == SETTING_SECRET) {
			SCOPED(xfreep) char *shown = config_redacted(*(const char *const *)member);

			log_info("setting %s=%s", s->flag, shown);
		} else if (s->kind == SETTING_TEXT || s->kind == SETTING_WORD) {
			log_info("setting %s=%s", s->flag, *(const char *const *)member);
		} else {
			config_number_text(number, sizeof(number), *(const int64_t *)member, units, n_units);
			log_info("setting %s=%s", s->flag, number);
		}
	}
}
