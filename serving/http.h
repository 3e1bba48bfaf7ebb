/* A strict parser for HTTP/1.1 requests without a body (RFC 9110, RFC 9112): what a read-only API needs and
 * nothing more. Pure; it borrows the caller's buffer and allocates nothing. */
#ifndef SERVING_HTTP_H
#define SERVING_HTTP_H

#include "common/kernel/text.h"

enum {
	HTTP_LINE_MAX = 4096, /* the request line; longer is 414 */
	HTTP_HEAD_MAX = 8192, /* the whole head with its empty line; longer is 431 */
	HTTP_FIELDS_MAX = 64,
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OPTIONS, HTTP_OTHER };

/* All texts point into the buffer that was parsed. */
struct http_request {
	enum http_method method;
	bool http10;
	bool keep_alive;
	bool unread_body; /* a method that we do not serve came with a body: answer, then close */
	bool asterisk; /* OPTIONS * */
	struct text path; /* begins with '/'; percent escapes are well-formed and still there */
	struct text query; /* behind the '?'; at == NULL: there is none */
	struct text origin; /* at == NULL: not given; so with the next ones */
	struct text authorization;
	struct text request_method; /* Access-Control-Request-Method */
	struct text if_none_match[4];
	unsigned n_if_none_match; /* fields beyond the fourth are ignored */
};

struct http_refusal {
	int status;
	const char *detail;
};

enum http_result { HTTP_MORE, HTTP_DONE, HTTP_REFUSED };

/* Where the search for the end of the head stands. Zeroed before each request. */
struct http_parser {
	size_t at; /* bytes looked at */
	size_t line_start;
	bool in_fields; /* the request line has ended */
};

/* buf holds everything received since the last request, len bytes; call again with more bytes behind the same
 * ones. HTTP_DONE     *ret_request is set, *ret_consumed is the length of its head HTTP_REFUSED  *ret_refusal
 * says why; the connection is of no use any more HTTP_MORE     the head is not complete */
enum http_result http_parse(struct http_parser *parser, const char *buf, size_t len,
	struct http_request *ret_request, size_t *ret_consumed, struct http_refusal *ret_refusal);

/* Puts the text with its percent escapes resolved (and '+' as blank, if asked) into buf of `size` bytes,
 * terminated. Returns the length, or -1 when it does not fit, or holds an escaped NUL or a broken escape. */
int http_decode(struct text text, bool plus_is_blank, char *buf, size_t size);

/* Does one of the request's If-None-Match fields name `etag` (with its quotes), or is one of them "*"? */
bool http_none_match(const struct http_request *request, const char *etag);

const char *http_reason(int status); /* "Not Found" */

#endif
