#include "common/base.h"
#include "serving/auth.h"

#include <strings.h>

#include "common/secret.h"

enum { AUTH_FILE_MAX = 8192 };

static const char auth_setting[] = "--auth-token-file";

/* RFC 6750's b64token. */
static bool auth_is_token(const char *token)
{
	size_t len = strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/");

	return len && !token[len + strspn(token + len, "=")];
}

static int auth_take(struct auth *auth, const char *token, unsigned entry, struct err *err)
{
	size_t len = strlen(token);

	if (len < AUTH_TOKEN_MIN || len > AUTH_TOKEN_MAX || !auth_is_token(token))
		return err_set(err, ERR_USAGE,
			"%s: entry %u of '%s' is no token, hint: %d to %d letters, digits and -._~+/ on a "
			"line, as of openssl rand -hex 32",
			auth_setting, entry, auth->path, AUTH_TOKEN_MIN, AUTH_TOKEN_MAX);
	if (auth->n_tokens == AUTH_TOKENS_MAX)
		return err_set(err, ERR_USAGE, "%s: '%s' has more than %d tokens", auth_setting, auth->path,
			AUTH_TOKENS_MAX);
	memcpy(auth->tokens[auth->n_tokens++], token, len);
	return 0;
}

static int auth_read(struct auth *auth, const char *path, struct err *err)
{
	char text[AUTH_FILE_MAX], *at = text, *line;
	int status = 0;

	auth->path = path;
	if (secret_read(auth_setting, path, text, sizeof(text), err))
		return -1;
	for (unsigned i = 1; !status && (line = secret_line(&at)); i++)
		status = auth_take(auth, line, i, err);
	if (!status && !auth->n_tokens)
		status = err_set(
			err, ERR_USAGE, "%s: '%s' is empty, hint: one token per line", auth_setting, path);
	explicit_bzero(text, sizeof(text));
	return status;
}

int auth_open(struct auth *auth, const char *path, struct err *err)
{
	if (!*path)
		return 0;
	auth->path = path;
	return auth_reload(auth, err);
}

int auth_reload(struct auth *auth, struct err *err)
{
	struct auth fresh = { 0 };
	int status = auth_read(&fresh, auth->path, err);

	if (!status)
		*auth = fresh;
	explicit_bzero(&fresh, sizeof(fresh));
	return status;
}

void auth_close(struct auth *auth)
{
	explicit_bzero(auth, sizeof(*auth));
}

/* "Bearer", blanks, and the token; false: it is something else. */
static bool auth_split(struct text authorization, struct text *ret_token)
{
	static const char scheme[] = "Bearer ";
	size_t len = sizeof(scheme) - 1;

	if (authorization.len <= len || strncasecmp(authorization.at, scheme, len) != 0)
		return false;
	while (len < authorization.len && authorization.at[len] == ' ')
		len++;
	*ret_token = (struct text){ authorization.at + len, authorization.len - len };
	return true;
}

enum auth_result auth_check(const struct auth *auth, struct text authorization)
{
	char shown[AUTH_TOKEN_MAX] = { 0 };
	unsigned found = 0;
	struct text token;

	if (!auth->path)
		return AUTH_GRANTED;
	if (!authorization.at)
		return AUTH_MISSING;
	if (!auth_split(authorization, &token) || token.len > sizeof(shown))
		return AUTH_WRONG;
	memcpy(shown, token.at, token.len);
	for (unsigned i = 0; i < AUTH_TOKENS_MAX; i++) { /* all bytes of all tokens, whatever differs */
		volatile unsigned char differs = i >= auth->n_tokens;

		for (size_t j = 0; j < sizeof(shown); j++)
			differs = (unsigned char)(differs | (shown[j] ^ auth->tokens[i][j]));
		found |= !differs;
	}
	explicit_bzero(shown, sizeof(shown));
	return found ? AUTH_GRANTED : AUTH_WRONG;
}
