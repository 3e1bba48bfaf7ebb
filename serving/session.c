/* States: see session_moves. Failure modes of a connection:
 * - the peer closes or resets it: it is dropped; answers owed to it by others are thrown away when they come;
 * - it sends something that is no request: an answer that says so, then it is closed;
 * - a request does not arrive in time: 408; its answer is not ready in time: 503; the answer is not taken in
 * time: dropped;
 * - nothing is asked for SESSION_IDLE_MS: closed without a word.
 * Before closing we stop sending, and read and forget for a moment, or the answer could be lost to a reset
 * (RFC 9112, 9.6). */
#include "common/base.h"
#include "serving/session.h"

#include "common/mem.h"
#include "serving/answer.h"
#include "serving/container.h"

enum {
	SESSION_IDLE_MS = 60000,
	SESSION_LINGER_MS = 1000,
	SESSION_APOLOGY_MS = 1000, /* for sending what says that a deadline has passed */
	SESSION_HEAD_MAX = 1024,
	SESSION_IN_MAX = HTTP_HEAD_MAX + 16
};

enum session_state {
	SESSION_IDLE, /* no byte of a request yet */
	SESSION_READING, /* some bytes of a request */
	SESSION_WAITING, /* for an answer from elsewhere */
	SESSION_WRITING,
	SESSION_LINGERING, /* all is sent, we wait for the peer to close */
	SESSION_CLOSED,
	SESSION_N_STATES,
};

#define TO(state) (1u << SESSION_##state)
static const unsigned session_moves[SESSION_N_STATES] = {
	[SESSION_IDLE] = TO(READING) | TO(CLOSED),
	[SESSION_READING] = TO(WAITING) | TO(WRITING) | TO(CLOSED),
	[SESSION_WAITING] = TO(WRITING) | TO(CLOSED),
	[SESSION_WRITING] = TO(IDLE) | TO(READING) | TO(LINGERING) | TO(CLOSED),
	[SESSION_LINGERING] = TO(CLOSED),
	[SESSION_CLOSED] = 0,
};

struct session {
	uv_tcp_t tcp;
	uv_timer_t deadline;
	uv_write_t write;
	uv_shutdown_t shutdown;
	TAILQ_ENTRY(session) link; /* of server's idle or busy list */
	struct server *server;
	enum session_state state;
	unsigned refs; /* open handles, requests to libuv, answers owed to us */
	bool last; /* close after this answer */
	struct answer answer; /* of the request under way */
	struct http_parser parser;
	struct http_request request;
	struct waiter waiter;
	uint64_t asked_ns;
	size_t in_len, consumed; /* bytes received; those of the request under way */
	char head[SESSION_HEAD_MAX];
	char in[SESSION_IN_MAX];
};

static void session_parse(struct session *session);
static void session_respond(struct session *session);

static bool session_is_idle(enum session_state state)
{
	return state == SESSION_IDLE;
}

static void session_move(struct session *session, enum session_state state)
{
	struct server *server = session->server;

	assert(session_moves[session->state] & 1u << state);
	TAILQ_REMOVE(session_is_idle(session->state) ? &server->idle : &server->busy, session, link);
	session->state = state;
	if (state != SESSION_CLOSED)
		TAILQ_INSERT_TAIL(session_is_idle(state) ? &server->idle : &server->busy, session, link);
}

static void session_unref(struct session *session)
{
	if (--session->refs)
		return;
	answer_release(&session->answer);
	free(session);
}

static void session_on_handle_closed(uv_handle_t *handle)
{
	session_unref(handle->data);
}

void session_close(struct session *session)
{
	if (session->state == SESSION_CLOSED)
		return;
	session_move(session, SESSION_CLOSED);
	session->waiter.gone = true;
	session->server->metrics.connections--;
	uv_close((uv_handle_t *)&session->tcp, session_on_handle_closed);
	uv_close((uv_handle_t *)&session->deadline, session_on_handle_closed);
}

struct session *session_next(struct session *session)
{
	return TAILQ_NEXT(session, link);
}

void session_hurry(struct session *session)
{
	session->last = true;
}

/* What came is no request, or not the whole of one in time: an answer that says so, and nothing after it. */
static void session_refuse(struct session *session, int status, const char *detail)
{
	uv_read_stop((uv_stream_t *)&session->tcp);
	session->asked_ns = uv_hrtime();
	memset(&session->request, 0, sizeof(session->request));
	session->last = true;
	session->answer.route = QUESTION_NONE;
	answer_refuse(&session->answer, status, detail);
	session_respond(session);
}

static void session_set_deadline(struct session *session, int64_t ms);

static void session_on_deadline(uv_timer_t *timer)
{
	struct session *session = timer->data;

	session_set_deadline(session, SESSION_APOLOGY_MS); /* the peer may take nothing any more */
	if (session->state == SESSION_READING) {
		session_refuse(session, 408, "the request did not arrive in time");
	} else if (session->state == SESSION_WAITING) {
		session->last = true; /* the waiter is not ours again until it was called */
		session->waiter.gone = true;
		answer_refuse(&session->answer, 503, "the answer was not ready in time");
		session_respond(session);
	} else {
		session_close(session);
	}
}

static void session_set_deadline(struct session *session, int64_t ms)
{
	uv_timer_start(&session->deadline, session_on_deadline, (uint64_t)ms, 0);
}

static void session_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct session *session = handle->data;
	static char nowhere[4096]; /* what is read and forgotten */

	(void)suggested;
	if (session->state == SESSION_IDLE || session->state == SESSION_READING)
		*buf = uv_buf_init(
			session->in + session->in_len, (unsigned)(sizeof(session->in) - session->in_len));
	else
		*buf = uv_buf_init(nowhere, sizeof(nowhere));
}

static void session_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct session *session = stream->data;

	(void)buf;
	if (session->state == SESSION_CLOSED || n == 0)
		return;
	if (n < 0) { /* half a request, or none, and nothing more will come; all before it was answered */
		session_close(session);
		return;
	}
	if (session->state == SESSION_LINGERING)
		return;
	session->in_len += (size_t)n;
	if (session->state == SESSION_IDLE) {
		session_move(session, SESSION_READING);
		session_set_deadline(session, session->server->config->request_ms);
	}
	session_parse(session);
}

static void session_listen(struct session *session)
{
	if (uv_read_start((uv_stream_t *)&session->tcp, session_on_alloc, session_on_read))
		session_close(session);
}

static void session_on_shutdown(uv_shutdown_t *req, int status)
{
	struct session *session = req->data;

	if (session->state == SESSION_LINGERING) {
		if (status)
			session_close(session);
		else
			session_listen(session);
	}
	session_unref(session);
}

static void session_linger(struct session *session)
{
	session_move(session, SESSION_LINGERING);
	session_set_deadline(session, SESSION_LINGER_MS);
	session->shutdown.data = session;
	if (uv_shutdown(&session->shutdown, (uv_stream_t *)&session->tcp, session_on_shutdown))
		session_close(session);
	else
		session->refs++;
}

/* The answer is out: on to the next request, which may have arrived already. */
static void session_next_request(struct session *session)
{
	session->in_len -= session->consumed;
	memmove(session->in, session->in + session->consumed, session->in_len);
	session->consumed = 0;
	memset(&session->parser, 0, sizeof(session->parser));
	session_move(session, session->in_len ? SESSION_READING : SESSION_IDLE);
	session_set_deadline(
		session, session->in_len ? session->server->config->request_ms : SESSION_IDLE_MS);
	if (session->in_len)
		session_parse(session);
	if (session->state == SESSION_IDLE || session->state == SESSION_READING)
		session_listen(session);
}

static void session_on_written(uv_write_t *req, int status)
{
	struct session *session = req->data;

	metrics_count(&session->server->metrics, session->answer.route, session->answer.status,
		(uv_hrtime() - session->asked_ns) / 1000);
	answer_release(&session->answer);
	if (session->state == SESSION_WRITING) {
		if (status)
			session_close(session);
		else if (session->last)
			session_linger(session);
		else
			session_next_request(session);
	}
	session_unref(session);
}

/* Sends session->answer. */
static void session_respond(struct session *session)
{
	struct answer *answer = &session->answer;
	size_t len;
	uv_buf_t bufs[2];

	session_move(session, SESSION_WRITING);
	session->last = session->last || session->server->draining || !session->request.keep_alive;
	len = answer_head(answer, session->server, &session->request, session->last, session->head,
		sizeof(session->head));
	bufs[0] = uv_buf_init(session->head, (unsigned)len);
	bufs[1] = answer->body ? uv_buf_init(answer->body->data, (unsigned)answer->body->len)
			       : uv_buf_init(NULL, 0);
	session->write.data = session;
	if (uv_write(&session->write, (uv_stream_t *)&session->tcp, bufs, answer_sends_body(answer) ? 2 : 1,
		    session_on_written))
		session_close(session);
	else
		session->refs++;
}

static void session_on_products(struct waiter *waiter, struct body *body, const struct problem *problem)
{
	struct session *session = CONTAINER_OF(waiter, struct session, waiter);

	if (session->state == SESSION_WAITING) { /* not closed, and not out of time, while we waited */
		answer_take(&session->answer, &session->request, body, problem);
		session_respond(session);
	} else {
		body_unref(body);
	}
	session_unref(session);
}

/* A whole request has arrived. */
static void session_handle(struct session *session)
{
	uv_read_stop((uv_stream_t *)&session->tcp);
	session->asked_ns = uv_hrtime();
	session->waiter.done = session_on_products;
	if (answer_make(&session->answer, session->server, &session->request, &session->waiter)) {
		session_respond(session);
		return;
	}
	session->refs++; /* for the answer that is owed to us */
	session_move(session, SESSION_WAITING);
}

static void session_parse(struct session *session)
{
	struct http_refusal refusal;
	enum http_result result;

	result = http_parse(&session->parser, session->in, session->in_len, &session->request,
		&session->consumed, &refusal);
	if (result == HTTP_DONE)
		session_handle(session);
	else if (result == HTTP_REFUSED)
		session_refuse(session, refusal.status, refusal.detail);
}

/* Room for one more: an idle connection goes if need be. */
static bool session_make_room(struct server *server)
{
	struct session *longest = TAILQ_FIRST(&server->idle);

	if (server->metrics.connections < server->connections_max)
		return true;
	if (!longest)
		return false;
	server->metrics.connections_dropped++;
	session_close(longest);
	return true;
}

int session_accept(struct server *server)
{
	struct session *session = xcalloc(1, sizeof(*session));
	int status;

	session->server = server;
	session->refs = 2;
	session->tcp.data = session;
	session->deadline.data = session;
	uv_tcp_init(server->loop, &session->tcp);
	uv_timer_init(server->loop, &session->deadline);
	status = uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)&session->tcp);
	if (status || !session_make_room(server)) {
		server->metrics.connections_refused += !status;
		uv_close((uv_handle_t *)&session->tcp, session_on_handle_closed);
		uv_close((uv_handle_t *)&session->deadline, session_on_handle_closed);
		return status;
	}
	server->metrics.connections++;
	server->metrics.connections_accepted++;
	session->state = SESSION_IDLE;
	TAILQ_INSERT_TAIL(&server->idle, session, link);
	uv_tcp_nodelay(&session->tcp, 1);
	session_set_deadline(session, SESSION_IDLE_MS);
	session_listen(session);
	return 0;
}
