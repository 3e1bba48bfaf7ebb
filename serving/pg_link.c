#include "common/base.h"
#include "serving/pg_link.h"

#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"
#include "serving/container.h"

enum { PG_LINK_PAUSE_MIN_MS = 100, PG_LINK_PAUSE_MAX_MS = 2000, PG_LINK_TICK_MS = 50 };

enum pg_link_state {
	PG_LINK_PAUSING, /* until deadline_ms, then the next attempt */
	PG_LINK_RESOLVING,
	PG_LINK_CONNECTING,
	PG_LINK_CHECKING, /* the schema's version */
	PG_LINK_UP,
};

struct pg_link {
	uv_loop_t *loop;
	const char *uri, *role; /* borrowed */
	char *where; /* "HOST:PORT", for the log */
	struct pg_link_events events;
	char *host; /* to be resolved; NULL: libpq needs no help */
	uv_getaddrinfo_t resolve;
	bool resolving, stopping;
	unsigned attempts; /* each takes the next of the host's addresses */
	uv_timer_t timer;
	uv_poll_t *poll; /* of socket; owned, freed when closed; NULL: none */
	int socket;
	PGconn *conn;
	PGresult *result; /* of the call under way; owned */
	struct err lost; /* the connection has failed, which the timer will tell */
	struct pg_link_call check; /* of the schema's version; settings of the session */
	struct err refusal; /* code ERR_NONE: the schema was right, or could not be asked for */
	enum pg_link_state state;
	bool away, running; /* running: the first call is under way */
	bool quiet; /* a second connection to the same server does not log */
	unsigned refs;
	uint64_t pause_ms, deadline_ms;
	struct pg_link_call *calls, **calls_end;
};

static int pg_link_next(struct pg_link *link, struct err *err);
static void pg_link_fail(struct pg_link *link, const struct err *err);
static void pg_link_on_poll(uv_poll_t *poll, int status, int events);

static void pg_link_unref(struct pg_link *link)
{
	if (--link->refs)
		return;
	free(link->where);
	free(link->host);
	free(link);
}

static void pg_link_on_poll_closed(uv_handle_t *handle)
{
	pg_link_unref(handle->data);
	free(handle);
}

static void pg_link_drop_poll(struct pg_link *link)
{
	if (!link->poll)
		return;
	uv_poll_stop(link->poll);
	uv_close((uv_handle_t *)link->poll, pg_link_on_poll_closed);
	link->poll = NULL;
}

/* Watches the connection's socket. While connecting, libpq may have closed one and opened another with the
 * same number: stopping first makes libuv register it anew. */
static int pg_link_watch(struct pg_link *link, int events, struct err *err)
{
	int socket = PQsocket(link->conn), status;

	if (link->poll && link->socket != socket)
		pg_link_drop_poll(link);
	if (!link->poll) {
		link->poll = xcalloc(1, sizeof(*link->poll));
		link->poll->data = link;
		link->socket = socket;
		status = uv_poll_init(link->loop, link->poll, socket);
		if (status) {
			free(link->poll);
			link->poll = NULL;
			return err_set(
				err, ERR_DATABASE, "cannot watch its socket: '%s'", uv_strerror(status));
		}
		link->refs++;
	} else if (link->state == PG_LINK_CONNECTING) {
		uv_poll_stop(link->poll);
	}
	status = uv_poll_start(link->poll, events, pg_link_on_poll);
	return status ? err_set(err, ERR_DATABASE, "cannot watch its socket: '%s'", uv_strerror(status)) : 0;
}

static void pg_link_end_calls(struct pg_link *link, const struct err *err)
{
	struct pg_link_call *call = link->calls;

	link->calls = NULL;
	link->calls_end = &link->calls;
	link->running = false;
	while (call) {
		struct pg_link_call *next = call->next;

		call->done(call, NULL, err);
		call = next;
	}
}

/* poll and connection go together: libpq closes the socket, which libuv must not watch any more by then. */
static void pg_link_shut(struct pg_link *link)
{
	pg_link_drop_poll(link);
	PQclear(link->result);
	link->result = NULL;
	PQfinish(link->conn);
	link->conn = NULL;
	link->lost.code = ERR_NONE;
}

static void pg_link_warn(const struct pg_link *link, const struct err *err)
{
	if (!link->quiet)
		log_warn("postgres at %s cannot be asked for the %s, retrying: %s", link->where, link->role,
			err->msg);
}

static void pg_link_fail(struct pg_link *link, const struct err *err)
{
	if (!link->away)
		pg_link_warn(link, err);
	link->away = true;
	link->refusal.code = ERR_NONE;
	pg_link_shut(link);
	link->state = PG_LINK_PAUSING;
	link->deadline_ms = uv_now(link->loop) + link->pause_ms;
	link->pause_ms =
		link->pause_ms * 2 < PG_LINK_PAUSE_MAX_MS ? link->pause_ms * 2 : PG_LINK_PAUSE_MAX_MS;
	pg_link_end_calls(link, err);
}

static void pg_link_go_up(struct pg_link *link)
{
	link->state = PG_LINK_UP;
	link->refusal.code = ERR_NONE;
	link->pause_ms = PG_LINK_PAUSE_MIN_MS;
	if (!link->quiet)
		log_info("postgres at %s: connected for the %s", link->where, link->role);
	link->away = false;
	if (link->events.on_up)
		link->events.on_up(link->events.data);
}

/* A database that another release migrated may hold numbers that mean something else. */
static void pg_link_on_checked(struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct pg_link *link = CONTAINER_OF(call, struct pg_link, check);
	struct err err = { 0 };
	bool known = link->refusal.code;

	if (link->state != PG_LINK_CHECKING)
		return; /* the link has failed and knows why */
	if (failed)
		err = *failed; /* there is no schema, or none that we may read */
	else if (!pg_schema_fits(pg_number(result, 0, 0), &err)) {
		pg_link_go_up(link);
		return;
	}
	if (link->away && !known) /* else pg_link_fail() says it */
		pg_link_warn(link, &err);
	pg_link_fail(link, &err);
	link->refusal = err;
}

static void pg_link_check(struct pg_link *link)
{
	struct err err = { 0 };

	PQsetnonblocking(link->conn, 1);
	link->state = PG_LINK_CHECKING;
	link->check = (struct pg_link_call){ .done = pg_link_on_checked, .sql = sql_serving_session };
	link->check.next = link->calls; /* those who asked before it was up come behind */
	link->calls = &link->check;
	if (!link->check.next)
		link->calls_end = &link->check.next;
	if (pg_link_next(link, &err))
		pg_link_fail(link, &err);
}

static void pg_link_go_on_connecting(struct pg_link *link)
{
	struct err err = { 0 };
	PostgresPollingStatusType status = PQconnectPoll(link->conn);

	if (status == PGRES_POLLING_OK) {
		pg_link_check(link);
	} else if (status == PGRES_POLLING_FAILED) {
		pg_error(link->conn, NULL, &err, "cannot connect");
		pg_link_fail(link, &err);
	} else if (pg_link_watch(link, status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, &err)) {
		pg_link_fail(link, &err);
	}
}

/* libpq would write the server's notices to stderr. */
static void pg_link_on_notice(void *data, const PGresult *result)
{
	(void)data;
	log_debug("postgres: %s", PQresultErrorMessage(result));
}

/* address: of the host, or NULL for libpq to find out */
static void pg_link_connect(struct pg_link *link, const char *address)
{
	char name[64];
	const char *const names[] = { "dbname", "application_name", "client_encoding",
		address ? "hostaddr" : NULL, NULL };
	const char *const values[] = { link->uri, name, "UTF8", address, NULL };
	struct err err = { 0 };

	snprintf(name, sizeof(name), "lambda-serving %s", link->role);
	link->state = PG_LINK_CONNECTING;
	link->deadline_ms = uv_now(link->loop) + PG_LINK_TIMEOUT_MS;
	link->conn = PQconnectStartParams(names, values, 1);
	assert(link->conn);
	PQsetNoticeReceiver(link->conn, pg_link_on_notice, NULL);
	if (PQstatus(link->conn) == CONNECTION_BAD) {
		pg_error(link->conn, NULL, &err, "cannot connect");
		pg_link_fail(link, &err);
	} else if (pg_link_watch(link, UV_WRITABLE, &err)) {
		pg_link_fail(link, &err);
	}
}

static void pg_link_on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses)
{
	struct pg_link *link = req->data;
	const struct addrinfo *address = addresses;
	char text[64] = "";
	unsigned n = 0;
	struct err err = { 0 };

	link->resolving = false;
	for (const struct addrinfo *a = addresses; a; a = a->ai_next)
		n++;
	for (unsigned i = n ? link->attempts++ % n : 0; i; i--)
		address = address->ai_next;
	if (!status && address)
		status = uv_ip_name(address->ai_addr, text, sizeof(text));
	uv_freeaddrinfo(addresses);
	if (link->state == PG_LINK_RESOLVING && !link->stopping) {
		if (status || !*text) {
			err_set(&err, ERR_DATABASE, "cannot find host '%s': '%s'", link->host,
				uv_strerror(status));
			pg_link_fail(link, &err);
		} else {
			pg_link_connect(link, text);
		}
	}
	pg_link_unref(link);
}

static void pg_link_start(struct pg_link *link)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct err err = { 0 };
	int status;

	if (!link->host) {
		pg_link_connect(link, NULL);
		return;
	}
	link->state = PG_LINK_RESOLVING;
	link->deadline_ms = uv_now(link->loop) + PG_LINK_TIMEOUT_MS;
	if (link->resolving)
		return; /* an answer is still owed to us from the last attempt; it is taken as this one's */
	link->resolve.data = link;
	status = uv_getaddrinfo(link->loop, &link->resolve, pg_link_on_resolved, link->host, NULL, &hints);
	if (status) {
		err_set(&err, ERR_DATABASE, "cannot find host '%s': '%s'", link->host, uv_strerror(status));
		pg_link_fail(link, &err);
		return;
	}
	link->resolving = true;
	link->refs++;
}

/* Everything of the statement under way has been sent? Else we wait for the socket to take more. */
static int pg_link_flush(struct pg_link *link, struct err *err)
{
	int left = PQflush(link->conn);

	if (left < 0)
		return pg_error(link->conn, NULL, err, "cannot send");
	return pg_link_watch(link, left ? UV_READABLE | UV_WRITABLE : UV_READABLE, err);
}

static void pg_link_finish_call(struct pg_link *link, const PGresult *result)
{
	struct pg_link_call *call = link->calls;
	ExecStatusType status = PQresultStatus(result);
	struct err err = { 0 };

	link->calls = call->next;
	if (!link->calls)
		link->calls_end = &link->calls;
	link->running = false;
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
		call->done(call, result, NULL);
		return;
	}
	pg_error(link->conn, result, &err, "statement failed");
	call->done(call, NULL, &err);
}

/* Takes what has arrived: the results of a statement, then NULL. */
static void pg_link_take_results(struct pg_link *link)
{
	struct err err = { 0 };

	while (link->conn && link->running && !PQisBusy(link->conn)) {
		PGresult *result = PQgetResult(link->conn);

		if (result) {
			PQclear(link->result);
			link->result = result;
			continue;
		}
		result = link->result;
		link->result = NULL;
		pg_link_finish_call(link, result);
		PQclear(result);
		if (pg_link_next(link, &err))
			pg_link_fail(link, &err);
	}
}

static void pg_link_take_notifications(struct pg_link *link)
{
	PGnotify *notify;
	bool any = false;

	while (link->conn && (notify = PQnotifies(link->conn))) {
		PQfreemem(notify);
		any = true;
	}
	if (any && link->events.on_notify)
		link->events.on_notify(link->events.data);
}

static void pg_link_on_poll(uv_poll_t *poll, int status, int events)
{
	struct pg_link *link = poll->data;
	struct err err = { 0 };

	if (poll != link->poll)
		return;
	if (link->state == PG_LINK_CONNECTING) { /* libpq finds out itself what is wrong */
		pg_link_go_on_connecting(link);
		return;
	}
	if (status) {
		err_set(&err, ERR_DATABASE, "connection lost: '%s'", uv_strerror(status));
	} else {
		if ((events & UV_READABLE) && !PQconsumeInput(link->conn))
			pg_error(link->conn, NULL, &err, "connection lost");
		else if (link->running)
			(void)pg_link_flush(link, &err);
	}
	if (err.code) {
		pg_link_fail(link, &err);
		return;
	}
	pg_link_take_results(link);
	pg_link_take_notifications(link);
}

/* Sends the first call, if there is one and none is under way. */
static int pg_link_next(struct pg_link *link, struct err *err)
{
	struct pg_link_call *call = link->calls;

	if (link->state < PG_LINK_CHECKING || link->running || !call)
		return 0;
	link->running = true;
	call->deadline_ms = uv_now(link->loop) + PG_LINK_TIMEOUT_MS;
	if (!PQsendQueryParams(link->conn, call->sql, call->n_params, NULL, call->params, NULL, NULL, 0))
		return pg_error(link->conn, NULL, err, "cannot send");
	return pg_link_flush(link, err);
}

static void pg_link_on_timer(uv_timer_t *timer)
{
	struct pg_link *link = timer->data;
	uint64_t now = uv_now(link->loop);
	struct err err = { 0 };

	if (link->state == PG_LINK_PAUSING) {
		if (now >= link->deadline_ms)
			pg_link_start(link);
		return;
	}
	if (link->lost.code) {
		err = link->lost;
		pg_link_fail(link, &err);
	} else if (((link->state == PG_LINK_CONNECTING || link->state == PG_LINK_RESOLVING) &&
			   now >= link->deadline_ms) ||
		   (link->running && link->calls && now >= link->calls->deadline_ms)) {
		err_set(&err, ERR_DATABASE, "no answer within %d ms", PG_LINK_TIMEOUT_MS);
		pg_link_fail(link, &err);
	}
}

static void pg_link_on_timer_closed(uv_handle_t *handle)
{
	pg_link_unref(handle->data);
}

/* Takes a libpq URI apart: "HOST:PORT" for the log, and the host if it is one name that is to be resolved. */
static int pg_link_parse(struct pg_link *link, struct err *err)
{
	char *message = NULL;
	PQconninfoOption *options = PQconninfoParse(link->uri, &message);
	const char *host = NULL, *address = NULL, *port = NULL;

	if (message)
		PQfreemem(message); /* it quotes the URI with its password */
	if (!options)
		return err_set(err, ERR_USAGE,
			"the postgres setting is no libpq URI; "
			"hint: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters as "
			"%%XX");
	for (const PQconninfoOption *option = options; option->keyword; option++) {
		if (!strcmp(option->keyword, "host"))
			host = option->val;
		else if (!strcmp(option->keyword, "hostaddr"))
			address = option->val;
		else if (!strcmp(option->keyword, "port"))
			port = option->val;
	}
	if (host && *host && *host != '/' && *host != '@' && !strchr(host, ',') && !address)
		link->host = xstrdup(host);
	link->where = xasprintf("%s:%s", host ? host : address ? address : "localhost", port ? port : "5432");
	PQconninfoFree(options);
	return 0;
}

int pg_link_open(uv_loop_t *loop, const char *uri, const char *role, const struct pg_link_events *events,
	struct pg_link **ret_link, struct err *err)
{
	struct pg_link *link = xcalloc(1, sizeof(*link));

	link->uri = uri;
	if (pg_link_parse(link, err)) {
		free(link);
		return -1;
	}
	link->loop = loop;
	link->role = role;
	link->quiet = !events || events->quiet;
	if (events)
		link->events = *events;
	link->pause_ms = PG_LINK_PAUSE_MIN_MS;
	link->calls_end = &link->calls;
	link->state = PG_LINK_PAUSING;
	uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	link->refs = 1;
	uv_timer_start(&link->timer, pg_link_on_timer, 0, PG_LINK_TICK_MS);
	*ret_link = link;
	return 0;
}

void pg_link_close(struct pg_link *link)
{
	struct err err = { 0 };

	err_set(&err, ERR_STOPPED, "stopping");
	link->stopping = true;
	if (link->resolving)
		uv_cancel((uv_req_t *)&link->resolve);
	pg_link_shut(link);
	link->state = PG_LINK_PAUSING;
	pg_link_end_calls(link, &err);
	uv_close((uv_handle_t *)&link->timer, pg_link_on_timer_closed);
}

int pg_link_send(struct pg_link *link, struct pg_link_call *call, struct err *err)
{
	if (link->state != PG_LINK_UP && link->away)
		return err_set(err, ERR_DATABASE, "postgres is not connected");
	call->next = NULL;
	*link->calls_end = call;
	link->calls_end = &call->next;
	if (!link->lost.code)
		(void)pg_link_next(
			link, &link->lost); /* a failure is told by the timer, not before we return */
	return 0;
}

bool pg_link_is_away(const struct pg_link *link)
{
	return link->away;
}

const char *pg_link_refusal(const struct pg_link *link)
{
	return link->refusal.code ? link->refusal.msg : NULL;
}
