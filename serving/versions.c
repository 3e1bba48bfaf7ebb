#include "common/base.h"
#include "serving/versions.h"

#include "common/mem.h"

/* Columns of sql_kappa_versions. */
enum {
	VERSION_NAME,
	VERSION_ID,
	VERSION_STATE,
	VERSION_AT_WORK,
	VERSION_OFFSETS,
	VERSION_BEHIND,
	VERSION_PER_SECOND,
	VERSION_SILENT_MS,
	VERSION_SECONDS_LEFT,
	VERSION_JSON = 12,
};

static int versions_first(const PGresult *result)
{
	int n = PQntuples(result);

	return n > VERSIONS_MAX ? n - VERSIONS_MAX : 0;
}

static int64_t versions_number(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? -1 : pg_number(result, row, column);
}

void versions_take(struct versions *versions, const PGresult *result)
{
	versions_release(versions);
	versions->at = xcalloc((size_t)PQntuples(result) + 1, sizeof(*versions->at));
	for (int row = versions_first(result); row < PQntuples(result); row++) {
		struct version *version = &versions->at[versions->n++];

		snprintf(version->name, sizeof(version->name), "%s", PQgetvalue(result, row, VERSION_NAME));
		snprintf(
			version->state, sizeof(version->state), "%s", PQgetvalue(result, row, VERSION_STATE));
		version->at_work = *PQgetvalue(result, row, VERSION_AT_WORK) == 't';
		version->offsets = pg_number(result, row, VERSION_OFFSETS);
		version->behind = pg_number(result, row, VERSION_BEHIND);
		version->per_second = pg_number(result, row, VERSION_PER_SECOND);
		version->seconds_silent = versions_number(result, row, VERSION_SILENT_MS);
		if (version->seconds_silent > 0)
			version->seconds_silent /= 1000;
		version->seconds_left = versions_number(result, row, VERSION_SECONDS_LEFT);
	}
}

void versions_release(struct versions *versions)
{
	free(versions->at);
	*versions = (struct versions){ 0 };
}

char *versions_json(const PGresult *result)
{
	struct out out;
	char *json;

	out_init(&out, SIZE_MAX);
	out_open(&out, NULL, '[');
	for (int row = versions_first(result); row < PQntuples(result); row++)
		out_json(&out, NULL, PQgetvalue(result, row, VERSION_JSON));
	out_close(&out, ']');
	json = xstrndup(out.buf, out.len);
	out_release(&out);
	return json;
}

/* --- metrics ----------------------------------------------------------------------------------- */

static const struct {
	const char *metric, *help;
	size_t at; /* where the int64_t is in a version */
} versions_gauges[] = {
	{ "at_work", "1 while its worker says something.", offsetof(struct version, at_work) },
	{ "offsets", "Offsets that it covers.", offsetof(struct version, offsets) },
	{ "behind_offsets", "Offsets that it lacks.", offsetof(struct version, behind) },
	{ "offsets_per_second", "How fast it goes on.", offsetof(struct version, per_second) },
	{ "left_seconds", "When it will have caught up.", offsetof(struct version, seconds_left) },
	{ "silent_seconds", "Since its worker has said something.",
		offsetof(struct version, seconds_silent) },
};

static void put_gauge(struct out *out, const struct versions *versions, size_t gauge)
{
	const char *metric = versions_gauges[gauge].metric;

	out_raw(out, "# HELP lambda_kappa_%s %s\n# TYPE lambda_kappa_%s gauge\n", metric,
		versions_gauges[gauge].help, metric);
	for (size_t i = 0; i < versions->n; i++) {
		const struct version *version = &versions->at[i];
		int64_t value;

		memcpy(&value, (const char *)version + versions_gauges[gauge].at, sizeof(value));
		if (value >= 0)
			out_raw(out, "lambda_kappa_%s{version=\"%s\"} %" PRId64 "\n", metric, version->name,
				value);
	}
}

/* A version's name is letters, digits, '.', '_' and '-': nothing to escape. */
void versions_put_metrics(struct out *out, const struct versions *versions)
{
	static const char *const states[] = { "live", "previous", "old", "new" };

	if (!versions->n)
		return;
	out_raw(out, "# HELP lambda_kappa_state What a version of the Kappa store is.\n"
		     "# TYPE lambda_kappa_state gauge\n");
	for (size_t i = 0; i < versions->n; i++)
		for (size_t s = 0; s < ARRAY_SIZE(states); s++)
			out_raw(out, "lambda_kappa_state{version=\"%s\",state=\"%s\"} %d\n",
				versions->at[i].name, states[s], !strcmp(versions->at[i].state, states[s]));
	for (size_t i = 0; i < ARRAY_SIZE(versions_gauges); i++)
		put_gauge(out, versions, i);
}
