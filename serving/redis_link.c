#include "common/base.h"
#include "serving/redis_link.h"

#include "common/log.h"
#include "common/mem.h"
#include "serving/container.h"

enum { REDIS_LINK_PAUSE_MIN_MS = 100, REDIS_LINK_PAUSE_MAX_MS = 2000, REDIS_LINK_READ_BYTES = 1 << 16 };

enum redis_link_state {
	REDIS_LINK_PAUSING, /* timer runs until the next attempt */
	REDIS_LINK_RESOLVING,
	REDIS_LINK_CONNECTING,
	REDIS_LINK_GREETING,
	REDIS_LINK_UP,
	REDIS_LINK_CLOSING, /* the socket is closing; then pause, or the end */
};

struct redis_link {
	uv_loop_t *loop;
	uv_timer_t timer; /* pause, and the deadline of every wait */
	uv_tcp_t tcp;
	uv_getaddrinfo_t resolve;
	uv_connect_t connect;
	struct addrinfo *addresses, *address; /* owned; the one being tried */
	struct redis_uri uri;
	enum redis_link_state state;
	bool has_tcp, resolving, stopping, away;
	bool healthy; /* it has answered on this connection */
	unsigned attempts; /* each takes the next of the host's addresses */
	unsigned refs; /* handles and requests that still call back */
	uint64_t pause_ms, deadline_ms;
	int n_greeted;
	struct redis_link_call greeting;
	struct redis_link_call *calls, **calls_end;
	redisReader *reader;
	char *read_buf;
};

struct redis_link_write {
	uv_write_t req;
	struct redis_link *link;
	char bytes[];
};

static void redis_link_fail(struct redis_link *link, const struct err *err);
static void redis_link_try_address(struct redis_link *link);
static void redis_link_greet(struct redis_link *link);

static void redis_link_unref(struct redis_link *link)
{
	if (--link->refs)
		return;
	redis_uri_release(&link->uri);
	free(link->read_buf);
	free(link);
}

static void redis_link_end_calls(struct redis_link *link, const struct err *err)
{
	struct redis_link_call *call = link->calls;

	link->calls = NULL;
	link->calls_end = &link->calls;
	while (call) {
		struct redis_link_call *next = call->next;

		call->done(call, NULL, err);
		call = next;
	}
}

static struct addrinfo *redis_link_pick_address(struct redis_link *link)
{
	unsigned n = 0, i;
	struct addrinfo *address;

	for (address = link->addresses; address; address = address->ai_next)
		n++;
	address = link->addresses;
	for (i = n ? link->attempts++ % n : 0; i; i--)
		address = address->ai_next;
	return address;
}

static void redis_link_on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses)
{
	struct redis_link *link = req->data;
	struct err err = { 0 };

	link->resolving = false;
	if (link->stopping || link->state != REDIS_LINK_RESOLVING) {
		uv_freeaddrinfo(addresses);
	} else if (status) {
		err_set(&err, ERR_REDIS, "cannot find host '%s': '%s'", link->uri.host, uv_strerror(status));
		redis_link_fail(link, &err);
	} else {
		link->addresses = addresses;
		link->address = redis_link_pick_address(link);
		redis_link_try_address(link);
	}
	redis_link_unref(link);
}

static void redis_link_start(struct redis_link *link)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct err err = { 0 };
	char port[16];
	int status;

	link->state = REDIS_LINK_RESOLVING;
	link->deadline_ms = uv_now(link->loop) + REDIS_LINK_TIMEOUT_MS;
	if (link->resolving)
		return; /* an answer is still owed to us from the last attempt; it is taken as this one's */
	snprintf(port, sizeof(port), "%d", link->uri.port);
	link->resolve.data = link;
	status = uv_getaddrinfo(
		link->loop, &link->resolve, redis_link_on_resolved, link->uri.host, port, &hints);
	if (status) {
		err_set(&err, ERR_REDIS, "cannot find host '%s': '%s'", link->uri.host, uv_strerror(status));
		redis_link_fail(link, &err);
		return;
	}
	link->resolving = true;
	link->refs++;
}

static void redis_link_check_deadline(struct redis_link *link)
{
	struct err err = { 0 };
	uint64_t now = uv_now(link->loop);
	uint64_t deadline = link->calls ? link->calls->deadline_ms : link->deadline_ms;

	if (link->state == REDIS_LINK_UP && !link->calls)
		return;
	if (now < deadline)
		return;
	err_set(&err, ERR_REDIS, "no answer within %d ms", REDIS_LINK_TIMEOUT_MS);
	redis_link_fail(link, &err);
}

static void redis_link_on_timer(uv_timer_t *timer)
{
	struct redis_link *link = timer->data;

	if (link->state == REDIS_LINK_PAUSING) {
		if (uv_now(link->loop) >= link->deadline_ms)
			redis_link_start(link);
	} else if (link->state != REDIS_LINK_CLOSING) {
		redis_link_check_deadline(link);
	}
}

static void redis_link_pause(struct redis_link *link)
{
	link->state = REDIS_LINK_PAUSING;
	link->deadline_ms = uv_now(link->loop) + link->pause_ms;
	link->pause_ms =
		link->pause_ms * 2 < REDIS_LINK_PAUSE_MAX_MS ? link->pause_ms * 2 : REDIS_LINK_PAUSE_MAX_MS;
}

static void redis_link_on_tcp_closed(uv_handle_t *handle)
{
	struct redis_link *link = handle->data;

	link->has_tcp = false;
	if (!link->stopping)
		redis_link_pause(link);
	redis_link_unref(link);
}

/* Closes what is open; goes on with a pause unless we are stopping. */
static void redis_link_shut(struct redis_link *link)
{
	link->state = REDIS_LINK_CLOSING;
	if (link->addresses)
		uv_freeaddrinfo(link->addresses);
	link->addresses = link->address = NULL;
	if (link->reader)
		redisReaderFree(link->reader);
	link->reader = NULL;
	if (link->has_tcp)
		uv_close((uv_handle_t *)&link->tcp, redis_link_on_tcp_closed);
	else if (!link->stopping)
		redis_link_pause(link);
}

static void redis_link_fail(struct redis_link *link, const struct err *err)
{
	if (link->state == REDIS_LINK_CLOSING)
		return;
	if (!link->away)
		log_warn("redis at %s:%d cannot be asked, retrying: %s", link->uri.host, link->uri.port,
			err->msg);
	link->away = true;
	link->healthy = false;
	redis_link_shut(link);
	redis_link_end_calls(link, err);
}

static void redis_link_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct redis_link *link = handle->data;

	(void)suggested;
	*buf = uv_buf_init(link->read_buf, REDIS_LINK_READ_BYTES);
}

/* A server that accepts connections and does not answer is not there yet. */
static void redis_link_be_healthy(struct redis_link *link)
{
	if (link->state != REDIS_LINK_UP || link->healthy)
		return;
	log_info("redis at %s:%d answers", link->uri.host, link->uri.port);
	link->healthy = true;
	link->away = false;
	link->pause_ms = REDIS_LINK_PAUSE_MIN_MS;
}

/* Hands out the replies that are complete. A handler may close the link. */
static int redis_link_deliver(struct redis_link *link, struct err *err)
{
	while (link->reader) {
		struct redis_link_call *call = link->calls;
		void *reply = NULL;

		if (redisReaderGetReply(link->reader, &reply) != REDIS_OK)
			return err_set(err, ERR_REDIS, "its answer is not Redis' protocol: '%s'",
				link->reader->errstr);
		if (!reply)
			return 0;
		if (!call) {
			freeReplyObject(reply);
			return err_set(err, ERR_REDIS, "it answered what nobody asked");
		}
		redis_link_be_healthy(link);
		if (call->n_before) {
			call->n_before--;
			freeReplyObject(reply);
			continue;
		}
		link->calls = call->next;
		if (!link->calls)
			link->calls_end = &link->calls;
		call->done(call, reply, NULL);
		freeReplyObject(reply);
	}
	return 0;
}

static void redis_link_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct redis_link *link = stream->data;
	struct err err = { 0 };

	if (link->state != REDIS_LINK_GREETING && link->state != REDIS_LINK_UP)
		return;
	if (n < 0) {
		err_set(&err, ERR_REDIS, "connection lost: '%s'", uv_strerror((int)n));
		redis_link_fail(link, &err);
		return;
	}
	if (n > 0 && redisReaderFeed(link->reader, buf->base, (size_t)n) != REDIS_OK)
		err_set(&err, ERR_REDIS, "its answer cannot be read: '%s'", link->reader->errstr);
	else
		(void)redis_link_deliver(link, &err);
	if (err.code)
		redis_link_fail(link, &err);
}

static void redis_link_on_connected(uv_connect_t *req, int status)
{
	struct redis_link *link = req->data;
	struct err err = { 0 };

	if (link->state == REDIS_LINK_CONNECTING) {
		if (!status)
			status = uv_read_start(
				(uv_stream_t *)&link->tcp, redis_link_on_alloc, redis_link_on_read);
		if (status) {
			err_set(&err, ERR_REDIS, "cannot connect: '%s'", uv_strerror(status));
			redis_link_fail(link, &err);
		} else {
			uv_tcp_nodelay(&link->tcp, 1);
			link->reader = redisReaderCreate();
			link->state = REDIS_LINK_GREETING;
			link->n_greeted = 0;
			redis_link_greet(link);
		}
	}
	redis_link_unref(link);
}

static void redis_link_try_address(struct redis_link *link)
{
	struct err err = { 0 };
	int status;

	link->state = REDIS_LINK_CONNECTING;
	link->deadline_ms = uv_now(link->loop) + REDIS_LINK_TIMEOUT_MS;
	status = uv_tcp_init(link->loop, &link->tcp);
	if (!status) {
		link->has_tcp = true;
		link->refs++;
		link->tcp.data = link;
		link->connect.data = link;
		status = uv_tcp_connect(
			&link->connect, &link->tcp, link->address->ai_addr, redis_link_on_connected);
		if (!status)
			link->refs++;
	}
	if (status) {
		err_set(&err, ERR_REDIS, "cannot connect: '%s'", uv_strerror(status));
		redis_link_fail(link, &err);
	}
}

static void redis_link_on_written(uv_write_t *req, int status)
{
	struct redis_link_write *write = (struct redis_link_write *)req;
	struct redis_link *link = write->link;
	struct err err = { 0 };

	if (status && (link->state == REDIS_LINK_GREETING || link->state == REDIS_LINK_UP)) {
		err_set(&err, ERR_REDIS, "cannot send: '%s'", uv_strerror(status));
		redis_link_fail(link, &err);
	}
	redis_link_unref(link);
	free(write);
}

static int redis_link_write(struct redis_link *link, const char *bytes, size_t len,
	struct redis_link_call *call, unsigned n_before, struct err *err)
{
	struct redis_link_write *write = xmalloc(sizeof(*write) + len);
	uv_buf_t buf = uv_buf_init(write->bytes, (unsigned)len);
	int status;

	memcpy(write->bytes, bytes, len);
	write->link = link;
	status = uv_write(&write->req, (uv_stream_t *)&link->tcp, &buf, 1, redis_link_on_written);
	if (status) {
		free(write);
		return err_set(err, ERR_REDIS, "cannot send: '%s'", uv_strerror(status));
	}
	link->refs++;
	call->next = NULL;
	call->n_before = n_before;
	call->deadline_ms = uv_now(link->loop) + REDIS_LINK_TIMEOUT_MS;
	*link->calls_end = call;
	link->calls_end = &call->next;
	return 0;
}

static int redis_link_write_command(
	struct redis_link *link, struct redis_command *command, struct redis_link_call *call, struct err *err)
{
	size_t len;
	const char *bytes = redis_command_done(command, &len);

	return redis_link_write(link, bytes, len, call, 0, err);
}

static void redis_link_on_greeted(
	struct redis_link_call *call, const redisReply *reply, const struct err *err)
{
	struct redis_link *link = CONTAINER_OF(call, struct redis_link, greeting);
	struct err refused = { 0 };

	if (err)
		return; /* the link has failed and knows why */
	if (reply->type == REDIS_REPLY_ERROR) {
		redis_error(NULL, reply, &refused, "cannot log in");
		redis_link_fail(link, &refused);
		return;
	}
	link->n_greeted++;
	redis_link_greet(link);
}

static void redis_link_greet(struct redis_link *link)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	struct err err = { 0 };

	if (redis_hello_command(&command, &link->uri, link->n_greeted)) {
		link->greeting.done = redis_link_on_greeted;
		if (redis_link_write_command(link, &command, &link->greeting, &err))
			redis_link_fail(link, &err);
		return;
	}
	link->state = REDIS_LINK_UP;
}

static void redis_link_on_timer_closed(uv_handle_t *handle)
{
	redis_link_unref(handle->data);
}

int redis_link_open(uv_loop_t *loop, const char *uri, struct redis_link **ret_link, struct err *err)
{
	struct redis_link *link = xcalloc(1, sizeof(*link));

	if (redis_uri_parse(uri, &link->uri, err)) {
		free(link);
		return -1;
	}
	link->loop = loop;
	link->pause_ms = REDIS_LINK_PAUSE_MIN_MS;
	link->calls_end = &link->calls;
	link->read_buf = xmalloc(REDIS_LINK_READ_BYTES);
	uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	link->refs = 1;
	link->state = REDIS_LINK_PAUSING;
	link->deadline_ms = 0;
	uv_timer_start(&link->timer, redis_link_on_timer, 0, REDIS_LINK_PAUSE_MIN_MS / 2);
	*ret_link = link;
	return 0;
}

void redis_link_close(struct redis_link *link)
{
	struct err err = { 0 };

	err_set(&err, ERR_STOPPED, "stopping");
	link->stopping = true;
	if (link->resolving)
		uv_cancel((uv_req_t *)&link->resolve);
	if (link->state != REDIS_LINK_CLOSING)
		redis_link_shut(link);
	redis_link_end_calls(link, &err);
	uv_close((uv_handle_t *)&link->timer, redis_link_on_timer_closed);
}

int redis_link_send(
	struct redis_link *link, struct redis_command *command, struct redis_link_call *call, struct err *err)
{
	if (link->state != REDIS_LINK_UP)
		return err_set(err, ERR_REDIS, "redis is not connected");
	return redis_link_write_command(link, command, call, err);
}

static void redis_link_append(struct redis_link_transaction *transaction, const char *bytes, size_t len)
{
	transaction->bytes = xrealloc(transaction->bytes, transaction->len + len);
	memcpy(transaction->bytes + transaction->len, bytes, len);
	transaction->len += len;
}

void redis_link_add(struct redis_link_transaction *transaction, struct redis_command *command)
{
	static const char multi[] = "*1\r\n$5\r\nMULTI\r\n";
	size_t len;
	const char *bytes = redis_command_done(command, &len);

	if (!transaction->n++)
		redis_link_append(transaction, multi, sizeof(multi) - 1);
	redis_link_append(transaction, bytes, len);
}

void redis_link_transaction_release(struct redis_link_transaction *transaction)
{
	free(transaction->bytes);
	*transaction = (struct redis_link_transaction){ 0 };
}

int redis_link_send_all(struct redis_link *link, struct redis_link_transaction *transaction,
	struct redis_link_call *call, struct err *err)
{
	static const char exec[] = "*1\r\n$4\r\nEXEC\r\n";

	if (link->state != REDIS_LINK_UP)
		return err_set(err, ERR_REDIS, "redis is not connected");
	redis_link_append(transaction, exec, sizeof(exec) - 1);
	return redis_link_write(link, transaction->bytes, transaction->len, call, transaction->n + 1, err);
}

bool redis_link_is_up(const struct redis_link *link)
{
	return link->state == REDIS_LINK_UP;
}

bool redis_link_is_away(const struct redis_link *link)
{
	return link->away;
}
