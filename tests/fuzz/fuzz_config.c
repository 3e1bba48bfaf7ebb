/* Settings, one per line: the first line says which program (batch, speed, serving), a line NAME=VALUE that
 * begins with LAMBDA_ is a variable, any other an argument. What must hold:
 * - loading again gives the same; a refusal is ERR_USAGE with a message
 * - accepted numbers are within what --help says; arguments are no flags
 * - what config_log() would show holds no password */
#include "common/base.h"
#include "common/config.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/redis.h"
#include "tests/fuzz/fuzz.h"

enum { ARGS_MAX = 32 };

struct settings {
	enum config_program program;
	int argc;
	char *argv[ARGS_MAX + 2]; /* owned */
	char *variables[ARGS_MAX]; /* names; owned */
	int n_variables;
};

static void settings_read(struct settings *settings, struct text rest)
{
	struct text line = { NULL, 0 };

	settings->argv[settings->argc++] = xstrdup("fuzz");
	fuzz_next(&rest, '\n', &line);
	settings->program = line.len && *line.at == 'b'         ? CONFIG_BATCH
			    : line.len > 1 && line.at[1] == 'p' ? CONFIG_SPEED
								: CONFIG_SERVING;
	while (fuzz_next(&rest, '\n', &line)) {
		char *text = xstrndup(line.at, line.len); /* up to a NUL, like all that main() is given */
		char *equals = strchr(text, '=');

		if (!strncmp(text, "LAMBDA_", 7) && equals && settings->n_variables < ARGS_MAX) {
			*equals = 0;
			setenv(text, equals + 1, 1);
			settings->variables[settings->n_variables++] = text;
		} else if (settings->argc <= ARGS_MAX) {
			settings->argv[settings->argc++] = text;
		} else {
			free(text);
		}
	}
}

static void settings_release(struct settings *settings)
{
	for (int i = 0; i < settings->argc; i++)
		free(settings->argv[i]);
	for (int i = 0; i < settings->n_variables; i++) {
		unsetenv(settings->variables[i]);
		free(settings->variables[i]);
	}
}

/* Where the password stands exactly once, and is no part of what takes its place, it must be gone. */
static void check_redacted(const char *uri, const char *password)
{
	SCOPED(xfreep) char *shown = config_redacted(uri);
	const char *first = password && strlen(password) >= 4 ? strstr(uri, password) : NULL;

	if (first && !strstr(first + 1, password) && strspn(password, "*") == 0)
		assert(!strstr(shown, password));
}

static void check_secrets(const struct config *config)
{
	struct redis_uri redis;
	struct err err = { 0 };
	char *password = NULL, *problem = NULL;
	PQconninfoOption *options = PQconninfoParse(config->postgres, &problem);

	for (const PQconninfoOption *o = options; o && o->keyword; o++)
		if (o->val && !strcmp(o->keyword, "password"))
			password = o->val;
	check_redacted(config->postgres, password);
	PQconninfoFree(options);
	PQfreemem(problem);
	if (!redis_uri_parse(config->redis, &redis, &err)) {
		check_redacted(config->redis, redis.password);
		redis_uri_release(&redis);
	}
}

static void check_config(const struct config *config)
{
	const int64_t day_ms = INT64_C(86400000);

	assert(*config->name && strlen(config->name) <= 64 && *config->topic && strlen(config->topic) <= 200);
	assert(config->horizon_records >= 1 && config->horizon_records <= 100000000);
	assert(config->horizon_ms >= 1 && config->horizon_ms <= 30 * day_ms);
	assert(config->grace_ms >= 0 && config->grace_ms <= 30 * day_ms);
	assert(config->max_skew_ms >= 0 && config->max_skew_ms <= 30 * day_ms);
	assert(config->memory_bytes >= 1 << 20 && config->memory_bytes <= INT64_C(1) << 40);
	assert(config->readers >= 0 && config->readers <= 64);
	assert(config->pending_max >= 1 && config->connections_max >= 1 && config->request_ms >= 1);
	for (int i = 0; i < config->n_args; i++)
		assert(*config->args[i] != '-' || !config->args[i][1]);
	for (size_t i = 0; i < config->n_kafka_properties; i++)
		assert(strchr(config->kafka_properties[i], '='));
	check_secrets(config);
}

static void check_rules(const struct config *config)
{
	assert(config->rules.calendar == &config->calendar && config->rules.grace_ms == config->grace_ms);
	assert(!strcmp(config->calendar.zone, config->time_zone));
}

static int load(struct config *config, struct settings *settings, struct err *err)
{
	return config_load(config, settings->program, "fuzz", "", settings->argc, settings->argv, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings settings = { 0 };
	struct config config, again;
	struct err err = { 0 }, err_again = { 0 };
	int result;

	/* A zone takes a hundred times as long as all else, and is loaded last: mostly there is none. */
	setenv("LAMBDA_TIME_ZONE", "UTC", 1);
	if (size % 8)
		setenv("TZDIR", "/nonexistent", 1);
	else
		unsetenv("TZDIR");
	settings_read(&settings, (struct text){ (const char *)data, size });
	result = load(&config, &settings, &err);
	if (!result || (result < 0 && !strncmp(err.msg, "--time-zone: unknown", 20)))
		check_config(&config);
	if (!result)
		check_rules(&config);
	config_release(&config);
	if (result < 0) {
		assert(err.code == ERR_USAGE && *err.msg);
		assert(load(&again, &settings, &err_again) == result && !strcmp(err.msg, err_again.msg));
		config_release(&again);
	}
	settings_release(&settings);
	return 0;
}
