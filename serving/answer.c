#include "common/base.h"
#include "serving/answer.h"

#include <stdarg.h>

static const char json_type[] = "application/json";

static void answer_problem(struct answer *answer, const struct problem *problem)
{
	body_unref(answer->body);
	answer->body = problem_body(problem);
	answer->status = problem->status;
	answer->content_type = "application/problem+json";
	answer->tagged = false;
}

void answer_refuse(struct answer *answer, int status, const char *detail)
{
	struct problem problem;

	problem_set(&problem, status, "%s", detail);
	answer_problem(answer, &problem);
}

void answer_take(struct answer *answer, const struct http_request *request, struct body *body,
	const struct problem *problem)
{
	if (!body) {
		answer_problem(answer, problem);
		return;
	}
	answer->body = body;
	answer->content_type = json_type;
	answer->tagged = true;
	answer->status = http_none_match(request, body->etag) ? 304 : 200;
}

void answer_release(struct answer *answer)
{
	body_unref(answer->body);
	memset(answer, 0, sizeof(*answer));
}

static void answer_text(struct answer *answer, int status, const char *content_type, struct body *body)
{
	answer->status = status;
	answer->content_type = content_type;
	answer->body = body;
}

static struct body *index_body(void)
{
	static const char *const links[] = { "/v1/revenue/today", "/v1/revenue/{date}",
		"/v1/revenue?from={date}&to={date}&step=day",
		"/v1/products/top?date={date}&by={net|units}&limit={n}", "/v1/late?date={date}",
		"/v1/customers/{id}", "/v1/customers/{id}/orders?window={n}h", "/v1/segments",
		"/v1/corrections?from={date}&to={date}", "/v1/runs", "/v1/runs/{run}", "/v1/status", "/livez",
		"/readyz", "/metrics" };
	struct out out;

	out_init(&out, 4096);
	out_open(&out, NULL, '{');
	out_string(&out, "name", "lambda-serving");
	out_string(&out, "version", LAMBDA_VERSION);
	out_open(&out, "paths", '[');
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		out_string(&out, NULL, links[i]);
	out_close(&out, ']');
	out_close(&out, '}');
	return body_of_out(&out);
}

static struct body *status_body(const char *status, const char *detail)
{
	struct out out;

	out_init(&out, 4096);
	out_open(&out, NULL, '{');
	out_string(&out, "status", status);
	if (detail)
		out_string(&out, "detail", detail);
	out_close(&out, '}');
	return body_of_out(&out);
}

static void answer_ready(struct answer *answer, const struct server *server)
{
	const struct live *live = server->live;
	struct problem problem;

	if (live_snapshot(live, live_view(live)) && !server->draining) {
		answer_text(answer, 200, json_type,
			status_body("ready", answer->trusted && !live->kappa_only
						     ? batchview_trouble(&live->batchview)
						     : NULL));
		return;
	}
	if (server->draining)
		problem_set(&problem, 503, "stopping");
	else if (!answer->trusted) /* the reason may name our servers */
		problem_set(&problem, 503, "not ready; ask with a token for the reason");
	else
		live_explain(live, live_view(live), &problem);
	if (problem.status == 404) /* of a resource that is there: it is not ready */
		problem.status = 503;
	answer_problem(answer, &problem);
}

static bool is_of_customers(enum question_route route)
{
	return route == QUESTION_CUSTOMER || route == QUESTION_PROFILE || route == QUESTION_SEGMENTS;
}

/* False: the answer comes later. */
static bool answer_get(struct answer *answer, struct server *server, const struct http_request *request,
	struct waiter *waiter)
{
	struct live *live = server->live;
	struct question *question = &waiter->question;
	struct problem problem;
	struct body *body = NULL;
	struct snapshot *snapshot;
	int wrong = question_parse(request->path, request->query, question, &problem);

	answer->route = question->route;
	if (!question->view_given)
		question->view = live_view(live);
	snapshot = live_snapshot(live, question->view);
	if (wrong) {
		answer_problem(answer, &problem);
		return true;
	}
	switch (question->route) {
	case QUESTION_DAY:
	case QUESTION_LATE:
		if (snapshot)
			body = snapshot_answer(snapshot, question, &problem);
		else
			live_explain(live, question->view, &problem);
		answer_take(answer, request, body, &problem);
		return true;
	case QUESTION_CORRECTIONS:
	case QUESTION_RUNS:
	case QUESTION_RUN:
	case QUESTION_STATUS: /* which tell of Postgres also when there is no snapshot */
		costly_ask(&server->costly, waiter);
		return false;
	case QUESTION_CUSTOMER:
	case QUESTION_PROFILE:
	case QUESTION_SEGMENTS:
	case QUESTION_RANGE:
	case QUESTION_PRODUCTS:
		if (is_of_customers(question->route) && !live->config->rules.customers) {
			problem_set(&problem, 404, "orders are not kept by customer here: --customers=no");
		} else if (live->kappa_only && rows_knows(question->route)) {
			problem_set(&problem, 404,
				"this comes from batch runs only, and there is only the kappa view here");
		} else if (snapshot) {
			costly_ask(&server->costly, waiter);
			return false;
		} else {
			live_explain(live, question->view, &problem);
		}
		answer_problem(answer, &problem);
		return true;
	case QUESTION_INDEX:
		answer_take(answer, request, index_body(), &problem);
		return true;
	case QUESTION_LIVEZ:
		answer_text(answer, 200, json_type, status_body("alive", NULL));
		return true;
	case QUESTION_READYZ:
		answer_ready(answer, server);
		return true;
	case QUESTION_METRICS:
		answer_text(answer, 200, "text/plain; version=0.0.4; charset=utf-8",
			metrics_body(&server->metrics, live, server->costly.runs));
		return true;
	case QUESTION_NONE:
	case QUESTION_N_ROUTES:
		break;
	}
	assert(false && "a route without an answer");
	return true;
}

static bool path_is(struct text path, const char *name)
{
	return path.len == strlen(name) && !memcmp(path.at, name, path.len);
}

/* False: a token is needed, and *answer says so. Probes have none, and a browser shows none in a preflight.
 */
static bool answer_is_allowed(
	struct answer *answer, const struct server *server, const struct http_request *request)
{
	enum auth_result result = auth_check(&server->auth, request->authorization);
	bool is_preflight =
		request->method == HTTP_OPTIONS && request->origin.at && request->request_method.at;

	answer->trusted = result == AUTH_GRANTED;
	answer->wrong_token = result == AUTH_WRONG;
	if (answer->trusted || is_preflight || path_is(request->path, "/livez") ||
		path_is(request->path, "/readyz"))
		return true;
	answer_refuse(answer, 401,
		answer->wrong_token ? "this token is not known here"
				    : "a token is needed: Authorization: Bearer TOKEN");
	return false;
}

bool answer_make(struct answer *answer, struct server *server, const struct http_request *request,
	struct waiter *waiter)
{
	struct question question;
	struct problem problem;

	memset(answer, 0, sizeof(*answer));
	answer->route = QUESTION_NONE;
	answer->head_only = request->method == HTTP_HEAD;
	if (!answer_is_allowed(answer, server, request))
		return true;
	if (request->method == HTTP_GET || request->method == HTTP_HEAD)
		return answer_get(answer, server, request, waiter);
	if (!request->asterisk && question_parse(request->path, (struct text){ 0 }, &question, &problem) &&
		question.route == QUESTION_NONE) {
		answer_problem(answer, &problem);
		return true;
	}
	answer->allow = true;
	if (request->method == HTTP_OPTIONS) {
		answer->status = 204;
		answer->preflight = request->request_method.at != NULL;
		return true;
	}
	answer->route = request->asterisk ? QUESTION_NONE : question.route;
	problem_set(&problem, 405, "only GET, HEAD and OPTIONS are allowed here");
	answer_problem(answer, &problem);
	return true;
}

bool answer_sends_body(const struct answer *answer)
{
	return answer->body && !answer->head_only && answer->status != 304 && answer->status != 204;
}

/* Is the origin in the comma separated allow-list? */
static bool origin_is_allowed(const char *list, struct text origin)
{
	while (origin.len && *list) {
		size_t len = strcspn(list, ",");
		const char *at = list;

		list += len + (list[len] == ',');
		while (len && *at == ' ')
			at++, len--;
		while (len && at[len - 1] == ' ')
			len--;
		if (len == origin.len && !memcmp(at, origin.at, len))
			return true;
	}
	return false;
}

struct head {
	char *buf;
	size_t len, size;
};

static void head_add(struct head *head, const char *format, ...) PRINTF_LIKE(2, 3);

static void head_add(struct head *head, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	head->len += (size_t)vsnprintf(head->buf + head->len, head->size - head->len, format, ap);
	va_end(ap);
	assert(head->len < head->size);
}

static void head_add_cors(
	struct head *head, const struct answer *answer, const char *list, const struct http_request *request)
{
	bool all = !strcmp(list, "*");

	if (!*list)
		return;
	if (!all)
		head_add(head, "Vary: Origin\r\n");
	if (!all && (request->origin.len > 256 || !origin_is_allowed(list, request->origin)))
		return;
	if (all)
		head_add(head, "Access-Control-Allow-Origin: *\r\n");
	else
		head_add(head, "Access-Control-Allow-Origin: %.*s\r\n", (int)request->origin.len,
			request->origin.at);
	if (answer->preflight)
		head_add(head, "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
			       "Access-Control-Allow-Headers: Authorization, "
			       "If-None-Match\r\nAccess-Control-Max-Age: 600\r\n");
	else
		head_add(head, "Access-Control-Expose-Headers: ETag\r\n");
}

size_t answer_head(const struct answer *answer, struct server *server, const struct http_request *request,
	bool last, char *buf, size_t size)
{
	struct head head = { buf, 0, size };

	head_add(&head, "HTTP/1.1 %d %s\r\nDate: %s\r\n", answer->status, http_reason(answer->status),
		server_date(server));
	if (answer->body && answer->status != 304)
		head_add(&head,
			"Content-Type: %s\r\nContent-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n",
			answer->content_type, answer->body->len);
	if (answer->tagged)
		head_add(&head, "ETag: %s\r\n", answer->body->etag);
	head_add(&head, "Cache-Control: %s\r\n",
		answer->tagged || answer->status == 204 ? "no-cache" : "no-store");
	if (answer->allow)
		head_add(&head, "Allow: GET, HEAD, OPTIONS\r\n");
	if (answer->status == 401)
		head_add(&head, "WWW-Authenticate: Bearer realm=\"lambda\"%s\r\n",
			answer->wrong_token ? ", error=\"invalid_token\"" : "");
	if (answer->status == 503)
		head_add(&head, "Retry-After: 1\r\n");
	head_add_cors(&head, answer, server->config->cors_origins, request);
	if (last)
		head_add(&head, "Connection: close\r\n");
	else if (request->http10)
		head_add(&head, "Connection: keep-alive\r\n");
	head_add(&head, "\r\n");
	return head.len;
}
