#include "common/base.h"
#include "common/redis.h"

#include "common/mem.h"
#include "embedded.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/time.h>

/* --- the address ------------------------------------------------------------------------------- */

static int redis_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes; NULL when an escape is none. */
static char *redis_unescape(const char *at, size_t len)
{
	char *text = xmalloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (at[i] != '%') {
			text[n++] = at[i];
			continue;
		}
		if (i + 2 >= len || redis_hex(at[i + 1]) < 0 || redis_hex(at[i + 2]) < 0) {
			free(text);
			return NULL;
		}
		text[n++] = (char)(redis_hex(at[i + 1]) << 4 | redis_hex(at[i + 2]));
		i += 2;
	}
	text[n] = 0;
	return text;
}

/* Digits up to `end`, at most max; -1 when it is something else. */
static int redis_small_number(const char *at, const char *end, int max)
{
	int n = 0;

	if (at == end)
		return -1;
	for (; at < end; at++) {
		if (*at < '0' || *at > '9')
			return -1;
		n = n * 10 + (*at - '0');
		if (n > max)
			return -1;
	}
	return n;
}

static int redis_uri_user(const char *at, const char *end, struct redis_uri *uri)
{
	const char *colon = memchr(at, ':', (size_t)(end - at));

	if (!colon) /* redis://user@ has no password to log in with */
		return -1;
	uri->password = redis_unescape(colon + 1, (size_t)(end - colon - 1));
	if (colon > at)
		uri->user = redis_unescape(at, (size_t)(colon - at));
	return uri->password && (colon == at || uri->user) ? 0 : -1;
}

static int redis_uri_address(const char *at, const char *end, struct redis_uri *uri)
{
	const char *host_end;

	if (at < end && *at == '[') { /* IPv6 */
		host_end = memchr(at, ']', (size_t)(end - at));
		if (!host_end)
			return -1;
		uri->host = xstrndup(at + 1, (size_t)(host_end - at - 1));
		host_end++;
	} else {
		host_end = memchr(at, ':', (size_t)(end - at));
		if (!host_end)
			host_end = end;
		uri->host = xstrndup(at, (size_t)(host_end - at));
	}
	if (!*uri->host)
		return -1;
	uri->port = 6379;
	if (host_end == end)
		return 0;
	uri->port = *host_end == ':' ? redis_small_number(host_end + 1, end, 65535) : -1;
	return uri->port > 0 ? 0 : -1;
}

int redis_uri_parse(const char *uri, struct redis_uri *ret_uri, struct err *err)
{
	struct redis_uri out = { 0 };
	const char *at, *end, *slash, *user_end = NULL;

	if (strncmp(uri, "redis://", 8) != 0)
		goto wrong;
	at = uri + 8;
	end = at + strlen(at);
	for (const char *c = at; c < end; c++) /* a password may hold '@' that nobody escaped */
		if (*c == '@')
			user_end = c;
	if (user_end) {
		if (redis_uri_user(at, user_end, &out))
			goto wrong;
		at = user_end + 1;
	}
	slash = memchr(at, '/', (size_t)(end - at));
	if (redis_uri_address(at, slash ? slash : end, &out))
		goto wrong;
	if (slash && slash + 1 < end)
		out.db = redis_small_number(slash + 1, end, 9999);
	if (out.db < 0)
		goto wrong;
	*ret_uri = out;
	return 0;
wrong:
	redis_uri_release(&out);
	return err_set(err, ERR_USAGE,
		"address of redis is not of the form redis://[[user]:password@]host[:port][/db]");
}

char *redis_uri_with_password(const char *uri, const char *password)
{
	static const char scheme[] = "redis://";
	const char *address = uri + sizeof(scheme) - 1, *at;
	size_t user_len, n = 0;
	char *escaped, *whole;

	if (strncmp(uri, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	at = strrchr(address, '@');
	user_len = at ? (size_t)(at - address) : 0;
	if (memchr(address, ':', user_len))
		return NULL;
	escaped = xmalloc(3 * strlen(password) + 1);
	for (const char *c = password; *c; c++)
		n += (size_t)snprintf(escaped + n, 4, "%%%02X", (unsigned)(unsigned char)*c);
	whole = xasprintf(
		"%s%.*s:%.*s@%s", scheme, (int)user_len, address, (int)n, escaped, at ? at + 1 : address);
	explicit_bzero(escaped, n);
	free(escaped);
	return whole;
}

void redis_uri_release(struct redis_uri *uri)
{
	free(uri->host);
	free(uri->user);
	free(uri->password);
	*uri = (struct redis_uri){ 0 };
}

/* --- commands ---------------------------------------------------------------------------------- */

enum { REDIS_HEAD = 24 }; /* room in front for "*N\r\n", which is known last */

static char *redis_command_room(struct redis_command *command, size_t len)
{
	if (command->len + len > command->capacity) {
		command->capacity = (command->len + len) * 2;
		command->buf = xrealloc(command->buf, command->capacity);
	}
	return command->buf + command->len;
}

void redis_command_start(struct redis_command *command)
{
	command->len = 0;
	command->n_args = 0;
	redis_command_room(command, REDIS_HEAD);
	command->len = REDIS_HEAD;
}

/* Writes the digits of n so that they end before `end`; returns where they begin. */
static char *redis_digits(char *end, uint64_t n)
{
	do {
		*--end = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return end;
}

void redis_command_bytes(struct redis_command *command, const void *at, size_t len)
{
	char *out = redis_command_room(command, len + 32), digits[24];
	char *first = redis_digits(digits + sizeof(digits), len);
	size_t n = (size_t)(digits + sizeof(digits) - first);

	*out++ = '$';
	memcpy(out, first, n);
	out += n;
	*out++ = '\r';
	*out++ = '\n';
	if (len)
		memcpy(out, at, len);
	out += len;
	*out++ = '\r';
	*out++ = '\n';
	command->len = (size_t)(out - command->buf);
	command->n_args++;
}

void redis_command_text(struct redis_command *command, const char *text)
{
	redis_command_bytes(command, text, strlen(text));
}

void redis_command_int(struct redis_command *command, int64_t number)
{
	char digits[24], *end = digits + sizeof(digits);
	char *first = redis_digits(end, number < 0 ? -(uint64_t)number : (uint64_t)number);

	if (number < 0)
		*--first = '-';
	redis_command_bytes(command, first, (size_t)(end - first));
}

void redis_command_format(struct redis_command *command, const char *format, ...)
{
	char text[1024];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	assert(len >= 0 && (size_t)len < sizeof(text));
	redis_command_bytes(command, text, (size_t)len);
}

const char *redis_command_done(struct redis_command *command, size_t *ret_len)
{
	char *first = command->buf + REDIS_HEAD;

	*--first = '\n';
	*--first = '\r';
	first = redis_digits(first, command->n_args);
	*--first = '*';
	*ret_len = (size_t)(command->buf + command->len - first);
	return first;
}

void redis_command_release(struct redis_command *command)
{
	free(command->buf);
	*command = (struct redis_command){ 0 };
}

bool redis_hello_command(struct redis_command *command, const struct redis_uri *uri, int i)
{
	if (uri->password && i-- == 0) {
		redis_command_start(command);
		redis_command_text(command, "AUTH");
		if (uri->user)
			redis_command_text(command, uri->user);
		redis_command_text(command, uri->password);
		return true;
	}
	if (uri->db && i == 0) {
		redis_command_start(command);
		redis_command_text(command, "SELECT");
		redis_command_int(command, uri->db);
		return true;
	}
	return false;
}

/* --- the connection ---------------------------------------------------------------------------- */

int redis_error(const redisContext *redis, const redisReply *reply, struct err *err, const char *what)
{
	if (reply && reply->type == REDIS_REPLY_ERROR)
		return err_set(err, strncmp(reply->str, "DAMAGED", 7) == 0 ? ERR_DATA : ERR_REDIS,
			"%s: redis says '%s'", what, reply->str);
	if (reply)
		return err_set(err, ERR_REDIS, "%s: redis' reply is not of the expected form", what);
	if (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT))
		return err_set(err, ERR_REDIS, "%s: redis does not answer", what);
	return err_set(err, ERR_REDIS, "%s: '%s'", what, redis->errstr);
}

bool redis_lacks_function(const redisReply *reply)
{
	return reply && reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "Function not found");
}

/* One round trip; an error reply is a reply here. */
static int redis_exchange(redisContext *redis, struct redis_command *command, redisReply **ret_reply,
	struct err *err, const char *what)
{
	size_t len;
	const char *bytes = redis_command_done(command, &len);
	void *reply = NULL;

	if (redisAppendFormattedCommand(redis, bytes, len) != REDIS_OK ||
		redisGetReply(redis, &reply) != REDIS_OK || !reply) {
		redis_error(redis, NULL, err, what);
		return -1;
	}
	*ret_reply = reply;
	return 0;
}

int redis_call(redisContext *redis, struct redis_command *command, redisReply **ret_reply, struct err *err)
{
	redisReply *reply;

	if (redis_exchange(redis, command, &reply, err, "cannot ask redis"))
		return -1;
	if (redis_lacks_function(reply)) {
		redis_reply_free(&reply);
		if (redis_load_functions(redis, err) ||
			redis_exchange(redis, command, &reply, err, "cannot ask redis"))
			return -1;
	}
	if (reply->type == REDIS_REPLY_ERROR) {
		redis_error(redis, reply, err, "cannot ask redis");
		redis_reply_free(&reply);
		return -1;
	}
	*ret_reply = reply;
	return 0;
}

int redis_load_functions(redisContext *redis, struct err *err)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	SCOPED(redis_reply_free) redisReply *reply = NULL;

	redis_command_start(&command);
	redis_command_text(&command, "FUNCTION");
	redis_command_text(&command, "LOAD");
	redis_command_text(&command, "REPLACE");
	redis_command_text(&command, handover_lua);
	if (redis_exchange(redis, &command, &reply, err, "cannot load the functions"))
		return -1;
	return reply->type == REDIS_REPLY_ERROR ? redis_error(redis, reply, err, "cannot load the functions")
						: 0;
}

/* Copies the value of "name:value\r\n" of INFO; "" when it is not there. */
static void redis_info(const char *info, const char *name, char *value, size_t size)
{
	size_t len = strlen(name), n = 0;

	*value = 0;
	for (const char *line = info; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) != 0 || line[len] != ':')
			continue;
		for (line += len + 1; *line && *line != '\r' && *line != '\n' && n + 1 < size; line++)
			value[n++] = *line;
		value[n] = 0;
		return;
	}
}

static int redis_check_server(redisContext *redis, struct err *err)
{
	static const char *const sections[] = { "server", "memory" };
	char version[32] = "", policy[32] = "";

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		SCOPED(redis_command_release) struct redis_command command = { 0 };
		SCOPED(redis_reply_free) redisReply *reply = NULL;

		redis_command_start(&command);
		redis_command_text(&command, "INFO");
		redis_command_text(&command, sections[i]);
		if (redis_exchange(redis, &command, &reply, err, "cannot ask for the server's version"))
			return -1;
		if (!reply->str)
			return err_set(err, ERR_REDIS, "redis does not tell its version");
		if (reply->type == REDIS_REPLY_ERROR)
			return redis_error(redis, reply, err, "cannot ask for the server's version");
		if (i == 0)
			redis_info(reply->str, "redis_version", version, sizeof(version));
		else
			redis_info(reply->str, "maxmemory_policy", policy, sizeof(policy));
	}
	if (strtol(version, NULL, 10) < 7)
		return err_set(err, ERR_REDIS,
			"redis is version '%s', but its functions need version 7.0 or newer", version);
	if (strncmp(policy, "allkeys-", 8) == 0) /* volatile-* evicts only what expires: heartbeats */
		return err_set(err, ERR_REDIS,
			"redis may drop the speed view when its memory is full (maxmemory-policy is '%s') "
			"hint: CONFIG SET maxmemory-policy noeviction, and in redis.conf",
			policy);
	return 0;
}

static int redis_greet(redisContext *redis, const struct redis_uri *uri, struct err *err)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };

	for (int i = 0; redis_hello_command(&command, uri, i); i++) {
		SCOPED(redis_reply_free) redisReply *reply = NULL;

		if (redis_exchange(redis, &command, &reply, err, "cannot log in"))
			return -1;
		if (reply->type == REDIS_REPLY_ERROR)
			return redis_error(redis, reply, err, "cannot log in");
	}
	return 0;
}

int redis_open(const char *uri, int64_t timeout_ms, redisContext **ret_redis, struct err *err)
{
	struct timeval timeout = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	SCOPED(redis_uri_release) struct redis_uri address = { 0 };
	SCOPED(redis_close) redisContext *redis = NULL;

	if (redis_uri_parse(uri, &address, err))
		return -1;
	redis = redisConnectWithTimeout(address.host, address.port, timeout);
	if (!redis)
		return err_set(err, ERR_OS, "out of memory");
	if (redis->err)
		return err_set(err, ERR_REDIS, "cannot connect to redis at %s:%d: '%s'", address.host,
			address.port, redis->errstr);
	redisEnableKeepAlive(redis);
	if (redisSetTimeout(redis, timeout) != REDIS_OK)
		return redis_error(redis, NULL, err, "cannot set a timeout");
	if (redis_greet(redis, &address, err) || redis_check_server(redis, err) ||
		redis_load_functions(redis, err))
		return err_wrap(err, "redis at %s:%d", address.host, address.port);
	*ret_redis = redis;
	redis = NULL;
	return 0;
}

void redis_close(redisContext **redis)
{
	if (*redis)
		redisFree(*redis);
	*redis = NULL;
}

void redis_reply_free(redisReply **reply)
{
	if (*reply)
		freeReplyObject(*reply);
	*reply = NULL;
}
