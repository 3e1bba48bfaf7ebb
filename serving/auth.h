/* Who may ask: whoever shows one of the tokens of a file (Authorization: Bearer TOKEN, RFC 6750). Several
 * tokens, one per line, let a client be moved from an old one to a new one. A token is never logged. One
 * thread. */
#ifndef SERVING_AUTH_H
#define SERVING_AUTH_H

#include "common/err.h"
#include "common/kernel/text.h"

enum { AUTH_TOKEN_MIN = 16, AUTH_TOKEN_MAX = 256, AUTH_TOKENS_MAX = 16 };

/* Starts zeroed: then everybody may ask. */
struct auth {
	const char *path; /* borrowed; NULL: no token is needed */
	unsigned n_tokens;
	char tokens[AUTH_TOKENS_MAX][AUTH_TOKEN_MAX]; /* filled up with zeros */
};

enum auth_result { AUTH_GRANTED, AUTH_MISSING, AUTH_WRONG };

/* path "": no token is needed. ERR_USAGE: the file is not what it should be (common/secret.h), or a line of
 * it is no token. */
MUST_USE int auth_open(struct auth *auth, const char *path, struct err *err);
/* Reads the file again; on failure the old tokens stay. */
MUST_USE int auth_reload(struct auth *auth, struct err *err);
void auth_close(struct auth *auth);

/* authorization: the field's value; at == NULL: it was not there. Takes as long for a wrong token as for a
 * right one. */
enum auth_result auth_check(const struct auth *auth, struct text authorization);

#endif
