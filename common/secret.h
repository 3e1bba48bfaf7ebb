/* Files that hold secrets: passwords, tokens. Only regular files that others than owner and group can neither
 * read nor change, and that the group cannot change. Messages name the file, never what is in it. Any thread.
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include "common/err.h"

/* The whole file, as text.
 *   what    the setting that names the file, for messages: "--auth-token-file"
 *   size    of buf; a file of that many bytes or more is refused
 *   errors  ERR_USAGE: not there, no regular file, open to others, too large, or it holds a NUL; buf is wiped
 */
MUST_USE int secret_read(const char *what, const char *path, char *buf, size_t size, struct err *err);

/* The next line that is not empty, without blanks around it, terminated within the text; moves *at behind it.
 * NULL: there is none any more. */
char *secret_line(char **at);

/* A file with exactly one line. *ret_secret: the caller's, secret_free(). */
MUST_USE int secret_read_one(const char *what, const char *path, char **ret_secret, struct err *err);
/* Wipes and frees; NULL is fine. */
void secret_free(char *secret);

#endif
