/* A connection to Redis for batch and speed, and commands as bytes for every kind of connection. Blocking;
 * one thread per connection. (Serving has its own asynchronous connection: it uses struct redis_uri, struct
 * redis_command and the decoders of common/redis_handover.h.)
 *
 * Opening: connect, AUTH, SELECT, check of the server, load the functions. What can fail:
 * - no answer within the time, refused, still loading its data set: ERR_REDIS, try again later;
 * - wrong password, no such database: ERR_REDIS with Redis' words;
 * - older than 7.0, or an eviction policy that may drop state: ERR_REDIS with advice; it may be mended while
 * we try again. */
#ifndef COMMON_REDIS_H
#define COMMON_REDIS_H

#include <hiredis/hiredis.h>

#include "common/err.h"

/* redis://[[user]:password@]host[:port][/db]; user and password may be percent-encoded. */
struct redis_uri {
	char *host; /* owned, as are the next two */
	char *user, *password; /* or NULL; never to be logged */
	int port, db;
};

MUST_USE int redis_uri_parse(
	const char *uri, struct redis_uri *ret_uri, struct err *err); /* ERR_USAGE; names no secret */
/* The URI with the password put in, percent-encoded: of redis://[user@]host... The caller's, and a secret;
 * NULL when it has a password already, or is no such URI. */
char *redis_uri_with_password(const char *uri, const char *password);
void redis_uri_release(struct redis_uri *uri);

/* One command in Redis' protocol, built argument by argument: redis_command_start(), redis_command_text()
 * ..., redis_command_done(). Starts zeroed; keeps its memory from one command to the next. */
struct redis_command {
	char *buf;
	size_t len, capacity;
	size_t n_args;
};

void redis_command_start(struct redis_command *command);
void redis_command_bytes(struct redis_command *command, const void *at, size_t len);
void redis_command_text(struct redis_command *command, const char *text);
void redis_command_int(struct redis_command *command, int64_t number);
void redis_command_format(struct redis_command *command, const char *format, ...)
	PRINTF_LIKE(2, 3); /* one argument, < 1024 bytes */
/* The command's bytes, for redisAppendFormattedCommand() or redisAsyncFormattedCommand(); valid until the
 * next start. */
const char *redis_command_done(struct redis_command *command, size_t *ret_len);
void redis_command_release(struct redis_command *command);

/* The i-th command (from 0) that a new connection must begin with, for connections that are opened elsewhere.
 * False: there is none any more. */
bool redis_hello_command(struct redis_command *command, const struct redis_uri *uri, int i);

/* timeout_ms  for connecting, and then for each reply
 * ret_redis   the caller's; redis_close() */
MUST_USE int redis_open(const char *uri, int64_t timeout_ms, redisContext **ret_redis, struct err *err);
void redis_close(redisContext **redis); /* for SCOPED() */
void redis_reply_free(redisReply **reply); /* for SCOPED() */

/* Loads the functions of common/handover.lua in place of what is there. */
MUST_USE int redis_load_functions(redisContext *redis, struct err *err);

/* Sends the command and waits for the reply, which the caller frees. When Redis lost the functions, loads
 * them and asks again. An error reply is ERR_REDIS, or ERR_DATA when it begins with DAMAGED (docs/redis.md).
 * After a failure with redis->err set the connection is of no use any more. */
MUST_USE int redis_call(
	redisContext *redis, struct redis_command *command, redisReply **ret_reply, struct err *err);

/* Fills *err from a failed connection (reply NULL) or an error reply; returns -1. what: "cannot seal". */
int redis_error(const redisContext *redis, const redisReply *reply, struct err *err, const char *what);
bool redis_lacks_function(const redisReply *reply);

#endif
