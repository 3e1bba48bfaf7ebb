#include "common/base.h"
#include "serving/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "serving/session.h"

/* Every connection is a file descriptor, and we need some more. */
static void server_set_limit(struct server *server)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)server->config->connections_max + SERVER_OTHER_FILES;

	server->connections_max = (size_t)server->config->connections_max;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	if (!setrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur >= want)
		return;
	server->connections_max = limit.rlim_cur > 2 * SERVER_OTHER_FILES
					  ? limit.rlim_cur - SERVER_OTHER_FILES
					  : SERVER_OTHER_FILES;
	log_warn("only %" PRIu64
		 " files may be open, so going on with %zu connections, not --connections-max=%" PRId64
		 "; hint: ulimit -n",
		(uint64_t)limit.rlim_cur, server->connections_max, server->config->connections_max);
}

static void server_on_connection(uv_stream_t *listener, int status)
{
	struct server *server = listener->data;
	int64_t now = (int64_t)uv_now(server->loop);

	if (!status)
		status = session_accept(server);
	if (status && now - server->complained_ms > 5000) {
		log_warn("cannot accept a connection, going on: %s", uv_strerror(status));
		server->complained_ms = now;
	}
}

/* "HOST:PORT" or "[IPV6]:PORT"; an empty host is every address. */
static int server_resolve(const char *listen, struct addrinfo **ret_addresses, struct err *err)
{
	const char *colon = strrchr(listen, ':');
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	SCOPED(xfreep) char *host = NULL;
	size_t len = colon ? (size_t)(colon - listen) : 0;
	int status;

	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
		strtol(colon + 1, NULL, 10) > 65535)
		return err_set(err, ERR_USAGE,
			"--listen: '%s' is no address, hint: HOST:PORT, such as 127.0.0.1:8080", listen);
	host = len > 1 && *listen == '[' && colon[-1] == ']' ? xstrndup(listen + 1, len - 2)
							     : xstrndup(listen, len);
	status = getaddrinfo(*host ? host : NULL, colon + 1, &hints, ret_addresses);
	if (status)
		return err_set(err, ERR_USAGE, "--listen: '%s' is no address of this machine: %s", listen,
			gai_strerror(status));
	return 0;
}

static int server_listen(struct server *server, const struct addrinfo *address)
{
	int on = 1, status;
	uv_os_fd_t fd = -1;

	status = uv_tcp_init_ex(server->loop, &server->listener, (unsigned)address->ai_family);
	if (status)
		return status;
	server->listener.data = server;
	server->listening = true;
	status = uv_fileno((uv_handle_t *)&server->listener, &fd);
	if (!status && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
		status = uv_translate_sys_error(errno);
	if (!status)
		status = uv_tcp_bind(&server->listener, address->ai_addr, 0);
	return status ? status
		      : uv_listen((uv_stream_t *)&server->listener, SERVER_BACKLOG, server_on_connection);
}

static bool server_is_loopback(const struct sockaddr *address)
{
	const struct in6_addr *ip6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
		       127;
	return IN6_IS_ADDR_LOOPBACK(ip6) || (IN6_IS_ADDR_V4MAPPED(ip6) && ip6->s6_addr[12] == 127);
}

int server_open(struct server *server, uv_loop_t *loop, const struct config *config, struct live *live,
	struct products *products, struct customers *customers, struct rows *rows, struct runs *runs,
	struct err *err)
{
	struct addrinfo *addresses = NULL;
	bool exposed;
	int status;

	TAILQ_INIT(&server->idle);
	TAILQ_INIT(&server->busy);
	server->loop = loop;
	server->config = config;
	server->live = live;
	costly_open(&server->costly, loop, live, products, customers, rows, runs);
	server->metrics.started_ms = clock_wall_ms();
	server->complained_ms = INT64_MIN / 2;
	server_set_limit(server);
	if (auth_open(&server->auth, config->auth_token_file, err))
		return -1;
	if (server_resolve(config->listen, &addresses, err))
		return -1;
	assert(addresses);
	status = server_listen(server, addresses);
	exposed = !server_is_loopback(addresses->ai_addr);
	freeaddrinfo(addresses);
	if (status)
		return err_set(err, ERR_OS, "cannot listen on %s: %s%s", config->listen, uv_strerror(status),
			status == UV_EADDRINUSE ? "; hint: another program uses this port, see --listen"
						: "");
	log_info("listening on http://%s", config->listen);
	if (exposed && !server->auth.path)
		log_warn("other machines may reach this port, and no token is asked for: whoever can connect "
			 "reads everything; hint: --auth-token-file, or listen on 127.0.0.1");
	return 0;
}

static void server_on_drained(uv_timer_t *timer)
{
	struct server *server = timer->data;
	struct session *session;

	while ((session = TAILQ_FIRST(&server->busy)))
		session_close(session);
}

void server_stop(struct server *server)
{
	struct session *session, *next;

	if (!server->loop || server->draining)
		return;
	server->draining = true;
	if (server->listening)
		uv_close((uv_handle_t *)&server->listener, NULL);
	while ((session = TAILQ_FIRST(&server->idle)))
		session_close(session);
	for (session = TAILQ_FIRST(&server->busy); session; session = next) {
		next = session_next(session);
		session_hurry(session);
	}
	uv_timer_init(server->loop, &server->drain);
	server->drain.data = server;
	uv_timer_start(&server->drain, server_on_drained, SERVER_DRAIN_MS, 0);
}

bool server_is_drained(const struct server *server)
{
	return TAILQ_EMPTY(&server->busy);
}

void server_close(struct server *server)
{
	costly_close(&server->costly);
	auth_close(&server->auth);
	if (server->draining)
		uv_close((uv_handle_t *)&server->drain, NULL);
}

const char *server_date(struct server *server)
{
	int64_t now_s = clock_wall_ms() / 1000;
	time_t now = (time_t)now_s;
	struct tm tm;

	if (now_s != server->date_s) {
		gmtime_r(&now, &tm);
		strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		server->date_s = now_s;
	}
	return server->date;
}
