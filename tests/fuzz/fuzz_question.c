/* A path with its query, and the same bytes as a date and as a time. What must hold:
 * - asking again gives the same; an accepted question is within its limits, and asked anew in its plainest
 * form it is the same question
 * - a refused one has a problem with status 400 or 404 whose body is JSON
 * - an accepted date is written as it was read; an accepted time, written and read again, is the same time */
#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/kernel/datetime.h"
#include "common/kernel/json.h"
#include "serving/question.h"
#include "tests/fuzz/fuzz.h"

static void check_date(struct text text)
{
	char buf[DATE_TEXT_MAX];
	int year, month, month_day;
	int32_t day;

	if (date_parse(text, &day))
		return;
	assert(date_format(day, buf) == text.len && !memcmp(buf, text.at, text.len));
	date_to_civil(day, &year, &month, &month_day);
	assert(date_from_civil(year, month, month_day) == day);
	assert(year >= 1980 && year <= 2199);
}

static void check_time(struct text text)
{
	char buf[DATETIME_TEXT_MAX];
	int64_t ms, again;
	size_t len;
	int32_t day;

	if (datetime_parse(text, &ms))
		return;
	assert(ms >= DATETIME_MIN_MS && ms < DATETIME_END_MS);
	len = datetime_format(ms, buf);
	assert(len == strlen(buf) && len < sizeof(buf));
	assert(!datetime_parse((struct text){ buf, len }, &again) && again == ms);
	assert(!date_parse((struct text){ buf, 10 }, &day) && day == ms / 86400000);
}

/* The shortest way to ask the same; the path is given back apart. */
static const char *write_question(const struct question *q, char *query, size_t size)
{
	static const char *const paths[QUESTION_N_ROUTES] = {
		[QUESTION_INDEX] = "/v1",
		[QUESTION_DAY] = "/v1/revenue/today",
		[QUESTION_RANGE] = "/v1/revenue",
		[QUESTION_PRODUCTS] = "/v1/products/top",
		[QUESTION_LATE] = "/v1/late",
		[QUESTION_SEGMENTS] = "/v1/segments",
		[QUESTION_CORRECTIONS] = "/v1/corrections",
		[QUESTION_RUNS] = "/v1/runs",
		[QUESTION_STATUS] = "/v1/status",
		[QUESTION_LIVEZ] = "/livez",
		[QUESTION_READYZ] = "/readyz",
		[QUESTION_METRICS] = "/metrics",
	};
	static const char *const views[] = { "merged", "batch", "speed", "kappa" };
	static char written[32 + 3 * EVENT_ID_MAX_BYTES];
	size_t len = 0;
	char from[DATE_TEXT_MAX], to[DATE_TEXT_MAX], currency[16] = "";

	*query = 0;
	date_format(q->from, from);
	date_format(q->to, to);
	if (q->currency >= 0)
		snprintf(currency, sizeof(currency), "&currency=%s", currency_code(q->currency));
	if (q->route == QUESTION_DAY)
		snprintf(query, size, "view=%s%s", views[q->view], currency);
	if (q->route == QUESTION_RANGE)
		snprintf(query, size, "from=%s&to=%s&view=%s%s", from, to, views[q->view], currency);
	if (q->route == QUESTION_CORRECTIONS)
		snprintf(query, size, "from=%s&to=%s%s", from, to, currency);
	if (q->route == QUESTION_RUNS)
		len = (size_t)snprintf(query, size, "limit=%d", q->limit);
	if (q->route == QUESTION_RUNS && q->run)
		snprintf(query + len, size - len, "&before=%" PRId64, q->run);
	if (q->route == QUESTION_RUN) {
		snprintf(written, sizeof(written), "/v1/runs/%" PRId64, q->run);
		return written;
	}
	if (q->route == QUESTION_PRODUCTS)
		snprintf(query, size, "view=%s%s&by=%s&limit=%d%s%s%s%s", views[q->view], currency,
			q->by_units ? "units" : "net", q->limit,
			q->today ? "" : "&from=", q->today ? "" : from,
			q->today ? "" : "&to=", q->today ? "" : to);
	if (q->route == QUESTION_LATE)
		snprintf(query, size, "view=%s%s%s%s", views[q->view], currency,
			q->today ? "" : "&date=", q->today ? "" : from);
	if ((q->route == QUESTION_PROFILE || q->route == QUESTION_SEGMENTS) && *currency)
		snprintf(query, size, "%s", currency + 1);
	if (q->route == QUESTION_CUSTOMER || q->route == QUESTION_PROFILE) {
		if (q->route == QUESTION_CUSTOMER)
			snprintf(query, size, "view=%s%s&window=%dmin", views[q->view], currency,
				q->window_minutes);
		len = (size_t)snprintf(written, sizeof(written), "/v1/customers/");
		for (const char *at = q->customer; *at; at++)
			len += (size_t)snprintf(
				written + len, sizeof(written) - len, "%%%02x", (unsigned char)*at);
		if (q->route == QUESTION_CUSTOMER)
			snprintf(written + len, sizeof(written) - len, "/orders");
		return written;
	}
	if (q->route != QUESTION_DAY || q->today)
		return paths[q->route];
	snprintf(written, sizeof(written), "/v1/revenue/%s", from);
	return written;
}

static void check_good(const struct question *question)
{
	static struct problem problem;
	struct question again;
	char query[256];
	const char *path = write_question(question, query, sizeof(query));

	assert(question->route < QUESTION_NONE);
	assert(question->currency >= -1 && question->currency < currency_count());
	assert(question->limit >= 1 && question->limit <= QUESTION_TOP_MAX);
	assert(question->from <= question->to && question->to - question->from < QUESTION_DAYS_MAX);
	assert(!question_parse((struct text){ path, strlen(path) }, (struct text){ query, strlen(query) },
		&again, &problem));
	assert(again.route == question->route && again.today == question->today);
	assert(again.from == question->from && again.to == question->to && again.view == question->view);
	assert(again.currency == question->currency && again.limit == question->limit);
	assert(again.by_units == question->by_units && again.run == question->run);
	assert(again.window_minutes == question->window_minutes &&
		!strcmp(again.customer, question->customer));
}

static void check_problem(const struct problem *problem)
{
	struct body *body = problem_body(problem);
	struct json json;

	assert(problem->status == 400 || problem->status == 404);
	assert(*problem->detail && strlen(problem->detail) < sizeof(problem->detail));
	assert(body);
	json_init(&json, body->data, body->len);
	assert(json_drain(&json) == JSON_END);
	body_unref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *bytes = fuzz_copy(data, size);
	struct text rest = { bytes, size }, path = { bytes, 0 }, query = { NULL, 0 };
	struct problem problem = { 0 };
	struct question question, again;
	char *path_copy, *query_copy;
	int result;

	check_date(rest);
	check_time(rest);
	fuzz_next(&rest, '?', &path);
	query = rest;
	path_copy = fuzz_copy(path.at, path.len);
	query_copy = fuzz_copy(query.at, query.len);
	path.at = path_copy;
	query.at = query.at ? query_copy : NULL;
	result = question_parse(path, query, &question, &problem);
	if (result)
		check_problem(&problem);
	else
		check_good(&question);
	assert(question_parse(path, query, &again, &problem) == result && again.route == question.route);
	free(query_copy);
	free(path_copy);
	free(bytes);
	return 0;
}
