#include "common/base.h"
#include "serving/question.h"

#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/kernel/utf8.h"

enum parameter {
	P_DATE,
	P_FROM,
	P_TO,
	P_STEP,
	P_CURRENCY,
	P_VIEW,
	P_BY,
	P_LIMIT,
	P_WINDOW,
	P_BEFORE,
	N_PARAMETERS
};

static const char *const parameter_names[N_PARAMETERS] = { "date", "from", "to", "step", "currency", "view",
	"by", "limit", "window", "before" };

static const unsigned route_parameters[QUESTION_N_ROUTES] = {
	[QUESTION_DAY] = 1u << P_CURRENCY | 1u << P_VIEW,
	[QUESTION_RANGE] = 1u << P_FROM | 1u << P_TO | 1u << P_STEP | 1u << P_CURRENCY | 1u << P_VIEW,
	[QUESTION_CORRECTIONS] = 1u << P_FROM | 1u << P_TO | 1u << P_CURRENCY,
	[QUESTION_RUNS] = 1u << P_LIMIT | 1u << P_BEFORE,
	[QUESTION_CUSTOMER] = 1u << P_WINDOW | 1u << P_CURRENCY | 1u << P_VIEW,
	[QUESTION_PROFILE] = 1u << P_CURRENCY,
	[QUESTION_SEGMENTS] = 1u << P_CURRENCY,
	[QUESTION_LATE] = 1u << P_DATE | 1u << P_CURRENCY | 1u << P_VIEW,
	[QUESTION_PRODUCTS] = 1u << P_DATE | 1u << P_FROM | 1u << P_TO | 1u << P_BY | 1u << P_LIMIT |
			      1u << P_CURRENCY | 1u << P_VIEW,
};

const char *question_route_name(enum question_route route)
{
	static const char *const names[] = {
#define X(name, label) label,
		QUESTION_ROUTES(X)
#undef X
	};

	return names[route];
}

static int parse_date(const char *name, const char *value, int32_t *ret_day, struct problem *problem)
{
	if (!date_parse((struct text){ value, strlen(value) }, ret_day))
		return 0;
	return problem_set(problem, 400,
		"%s: '%.40s' is no date; expected YYYY-MM-DD, from 1980-01-01 to 2199-12-31", name, value);
}

/* For a wrong value: which words are allowed. */
static int parse_word(const char *name, const char *value, const char *const *words, size_t n, int *ret_word,
	struct problem *problem)
{
	char list[128];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(value, words[i])) {
			*ret_word = (int)i;
			return 0;
		}
	}
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
			!i           ? ""
			: i + 1 == n ? " or "
				     : ", ",
			words[i]);
	return problem_set(problem, 400, "%s: '%.40s' is not known; expected %s", name, value, list);
}

static int parse_limit(const char *value, int *ret_limit, struct problem *problem)
{
	int limit = 0;
	size_t len = strlen(value);

	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9' || len > 4)
			limit = -1;
		if (limit >= 0)
			limit = limit * 10 + (value[i] - '0');
	}
	if (limit < 1 || limit > QUESTION_TOP_MAX)
		return problem_set(problem, 400, "limit: '%.40s' is not a whole number from 1 to %d", value,
			QUESTION_TOP_MAX);
	*ret_limit = limit;
	return 0;
}

static int parse_run(const char *name, const char *value, int64_t *ret_run, struct problem *problem)
{
	size_t len = strlen(value);

	if (!len || len > 15 || strspn(value, "0123456789") != len || value[0] == '0')
		return problem_set(problem, 400, "%s: '%.40s' is no number of a run", name, value);
	*ret_run = strtoll(value, NULL, 10);
	return 0;
}

/* "24h" or "90min" */
static int parse_window(const char *value, int *ret_minutes, struct problem *problem)
{
	size_t digits = strspn(value, "0123456789");
	const char *unit = value + digits;
	int minutes = 0;

	for (size_t i = 0; i < digits && digits <= 4; i++)
		minutes = minutes * 10 + (value[i] - '0');
	if (!strcmp(unit, "h"))
		minutes *= 60;
	else if (strcmp(unit, "min") != 0)
		minutes = 0;
	if (minutes < QUESTION_WINDOW_MIN || minutes > QUESTION_WINDOW_MAX)
		return problem_set(problem, 400,
			"window: '%.40s' is not allowed; expected 1h to 48h, or 60min to 2880min", value);
	*ret_minutes = minutes;
	return 0;
}

static int take_parameter(
	struct question *question, enum parameter which, const char *value, struct problem *problem)
{
	static const char *const views[] = { "merged", "batch", "speed", "kappa" };
	static const char *const bys[] = { "net", "units" };
	static const char *const steps[] = { "day" };
	int word = 0;

	switch (which) {
	case P_DATE:
		question->today = false;
		if (parse_date("date", value, &question->from, problem))
			return -1;
		question->to = question->from;
		return 0;
	case P_FROM:
		return parse_date("from", value, &question->from, problem);
	case P_TO:
		return parse_date("to", value, &question->to, problem);
	case P_STEP:
		return parse_word("step", value, steps, ARRAY_SIZE(steps), &word, problem);
	case P_CURRENCY:
		question->currency = currency_find((struct text){ value, strlen(value) });
		if (question->currency < 0)
			return problem_set(problem, 400,
				"currency: '%.40s' is not a currency; expected an ISO 4217 code such as GBP",
				value);
		return 0;
	case P_VIEW:
		if (parse_word("view", value, views, ARRAY_SIZE(views), &word, problem))
			return -1;
		question->view = (enum question_view)word;
		question->view_given = true;
		return 0;
	case P_BY:
		if (parse_word("by", value, bys, ARRAY_SIZE(bys), &word, problem))
			return -1;
		question->by_units = word == 1;
		return 0;
	case P_LIMIT:
		return parse_limit(value, &question->limit, problem);
	case P_WINDOW:
		return parse_window(value, &question->window_minutes, problem);
	case P_BEFORE:
		return parse_run("before", value, &question->run, problem);
	case N_PARAMETERS:
		break;
	}
	assert(false && "a parameter without a case");
	return -1;
}

static int unknown_parameter(unsigned allowed, const char *name, struct problem *problem)
{
	char list[128] = "";
	size_t len = 0;

	for (unsigned i = 0; i < N_PARAMETERS; i++)
		if (allowed & 1u << i)
			len += (size_t)snprintf(
				list + len, sizeof(list) - len, "%s%s", len ? ", " : "", parameter_names[i]);
	if (!allowed)
		return problem_set(problem, 400, "'%.60s' is not a parameter; this path takes none", name);
	return problem_set(problem, 400, "'%.60s' is not a parameter of this path; it takes %s", name, list);
}

static int parse_pair(struct question *question, struct text pair, unsigned *seen, struct problem *problem)
{
	unsigned allowed = route_parameters[question->route];
	const char *equals = memchr(pair.at, '=', pair.len);
	size_t name_len = equals ? (size_t)(equals - pair.at) : pair.len;
	char name[64], value[64];

	if (http_decode((struct text){ pair.at, name_len }, true, name, sizeof(name)) < 0)
		return problem_set(problem, 400, "a parameter's name is too long, or holds a NUL");
	for (unsigned i = 0; i < N_PARAMETERS; i++) {
		if (strcmp(name, parameter_names[i]) != 0 || !(allowed & 1u << i))
			continue;
		if (*seen & 1u << i)
			return problem_set(problem, 400, "%s: is given twice", name);
		*seen |= 1u << i;
		if (!equals)
			return problem_set(problem, 400, "%s: has no value", name);
		if (http_decode((struct text){ equals + 1, pair.len - name_len - 1 }, true, value,
			    sizeof(value)) < 0)
			return problem_set(problem, 400, "%s: the value is too long, or holds a NUL", name);
		return take_parameter(question, (enum parameter)i, value, problem);
	}
	return unknown_parameter(allowed, name, problem);
}

static int parse_query(
	struct question *question, struct text query, unsigned *ret_seen, struct problem *problem)
{
	unsigned seen = 0;

	while (query.at && query.len) {
		const char *mark = memchr(query.at, '&', query.len);
		size_t len = mark ? (size_t)(mark - query.at) : query.len;

		if (len && parse_pair(question, (struct text){ query.at, len }, &seen, problem))
			return -1;
		query.at += mark ? len + 1 : len;
		query.len -= mark ? len + 1 : len;
	}
	*ret_seen = seen;
	return 0;
}

static int check_range(const struct question *question, unsigned seen, struct problem *problem)
{
	if (~seen & (1u << P_FROM | 1u << P_TO))
		return problem_set(problem, 400,
			"%s: is missing; expected from=YYYY-MM-DD&to=YYYY-MM-DD, both included",
			seen & 1u << P_FROM ? "to" : "from");
	if (question->from > question->to)
		return problem_set(problem, 400, "from: lies behind to");
	if (question->to - question->from >= QUESTION_DAYS_MAX)
		return problem_set(problem, 400, "from, to: %d days; at most %d at a time",
			question->to - question->from + 1, QUESTION_DAYS_MAX);
	return 0;
}

/* Everything but the query. */
static int parse_path(const char *path, struct question *question, struct problem *problem)
{
	static const struct {
		const char *path;
		enum question_route route;
		bool today;
	} routes[] = {
		{ "/v1/revenue/today", QUESTION_DAY, true },
		{ "/revenue/today", QUESTION_DAY, true },
		{ "/v1/revenue", QUESTION_RANGE, false },
		{ "/v1/products/top", QUESTION_PRODUCTS, true },
		{ "/v1/late", QUESTION_LATE, true },
		{ "/v1/segments", QUESTION_SEGMENTS, false },
		{ "/v1/corrections", QUESTION_CORRECTIONS, false },
		{ "/v1/runs", QUESTION_RUNS, false },
		{ "/v1/status", QUESTION_STATUS, false },
		{ "/v1", QUESTION_INDEX, false },
		{ "/livez", QUESTION_LIVEZ, false },
		{ "/readyz", QUESTION_READYZ, false },
		{ "/metrics", QUESTION_METRICS, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!strcmp(path, routes[i].path)) {
			question->route = routes[i].route;
			question->today = routes[i].today;
			return 0;
		}
	}
	if (!strncmp(path, "/v1/revenue/", 12) && path[12] && !strchr(path + 12, '/')) {
		question->route = QUESTION_DAY;
		if (parse_date("path", path + 12, &question->from, problem))
			return -1;
		question->to = question->from;
		return 0;
	}
	if (!strncmp(path, "/v1/runs/", 9) && path[9] && !strchr(path + 9, '/')) {
		question->route = QUESTION_RUN;
		return parse_run("path", path + 9, &question->run, problem);
	}
	return problem_set(problem, 404, "there is nothing at '%.80s'; see /v1 for what there is", path);
}

/* /v1/customers/ID and /v1/customers/ID/orders, with the ID still encoded: it may hold any character. 0: it
 * is no such path. */
static int parse_customer(struct text path, struct question *question, struct problem *problem)
{
	static const char before[] = "/v1/customers/", behind[] = "/orders";
	size_t n_before = sizeof(before) - 1, n_behind = sizeof(behind) - 1;
	struct text id;
	bool orders;
	int len;

	if (path.len < n_before || memcmp(path.at, before, n_before) != 0)
		return 0;
	id = (struct text){ path.at + n_before, path.len - n_before };
	orders = id.len >= n_behind && !memcmp(id.at + id.len - n_behind, behind, n_behind);
	if (orders)
		id.len -= n_behind;
	if (memchr(id.at, '/', id.len))
		return 0;
	question->route = orders ? QUESTION_CUSTOMER : QUESTION_PROFILE;
	len = http_decode(id, false, question->customer, sizeof(question->customer));
	if (len < 1 || !utf8_is_valid((struct text){ question->customer, (size_t)len }))
		return problem_set(problem, 400,
			"a customer's id is UTF-8 text of 1 to %d bytes, percent-encoded where it must be",
			EVENT_ID_MAX_BYTES);
	return 1;
}

int question_parse(
	struct text path, struct text query, struct question *ret_question, struct problem *problem)
{
	int customer;

	unsigned seen = 0;
	char name[96];

	*ret_question = (struct question){ .route = QUESTION_NONE,
		.currency = -1,
		.limit = QUESTION_TOP_DEFAULT,
		.window_minutes = QUESTION_WINDOW_DEFAULT };
	customer = parse_customer(path, ret_question, problem);
	if (customer)
		return customer < 0 ? -1 : parse_query(ret_question, query, &seen, problem);
	if (http_decode(path, false, name, sizeof(name)) < 0)
		return problem_set(problem, 404, "there is nothing at this path; see /v1 for what there is");
	if (parse_path(name, ret_question, problem) || parse_query(ret_question, query, &seen, problem))
		return -1;
	if (ret_question->route == QUESTION_PRODUCTS && seen & (1u << P_FROM | 1u << P_TO)) {
		if (seen & 1u << P_DATE)
			return problem_set(problem, 400, "date: not together with from and to");
		ret_question->today = false;
		return check_range(ret_question, seen, problem);
	}
	if (ret_question->route == QUESTION_RANGE || ret_question->route == QUESTION_CORRECTIONS)
		return check_range(ret_question, seen, problem);
	return 0;
}
