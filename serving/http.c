#include "common/base.h"
#include "serving/http.h"

#include <strings.h>

static bool text_is(struct text text, const char *word)
{
	return text.len == strlen(word) && !strncasecmp(text.at, word, text.len);
}

static bool is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct text text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!is_token_char((unsigned char)text.at[i]))
			return false;
	return text.len > 0;
}

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_result refuse(struct http_refusal *refusal, int status, const char *detail)
{
	refusal->status = status;
	refusal->detail = detail;
	return HTTP_REFUSED;
}

/* Method, target and version, with exactly one blank between them. */
static bool split_line(struct text line, struct text part[3])
{
	const char *end = line.at + line.len, *at = line.at;

	for (int i = 0; i < 3; i++) {
		const char *stop = i < 2 ? memchr(at, ' ', (size_t)(end - at)) : end;

		if (!stop || stop == at)
			return false;
		part[i] = (struct text){ at, (size_t)(stop - at) };
		at = stop + 1;
	}
	return !memchr(part[2].at, ' ', part[2].len);
}

/* RFC 3986: only characters that may stand in path and query, and whole percent escapes. */
static bool target_is_sound(struct text target)
{
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.at[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}#", c))
			return false;
		if (c != '%')
			continue;
		if (i + 2 >= target.len || hex_digit((unsigned char)target.at[i + 1]) < 0 ||
			hex_digit((unsigned char)target.at[i + 2]) < 0)
			return false;
		i += 2;
	}
	return true;
}

/* absolute-form: http://authority[/path][?query]; a server must accept it (RFC 9112, 3.2.2). */
static bool strip_absolute(struct text *target)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i]), host = len;

		if (target->len <= len || strncasecmp(target->at, schemes[i], len) != 0)
			continue;
		while (host < target->len && target->at[host] != '/' && target->at[host] != '?')
			host++;
		if (host == len)
			return false;
		target->at += host;
		target->len -= host;
		return true;
	}
	return false;
}

static enum http_result parse_target(
	struct text target, struct http_request *request, struct http_refusal *refusal)
{
	const char *mark;

	if (!target_is_sound(target))
		return refuse(refusal, 400,
			"the request target holds a forbidden character or a broken percent escape");
	if (text_is(target, "*")) {
		request->asterisk = true;
		request->path = target;
		return request->method == HTTP_OPTIONS
			       ? HTTP_DONE
			       : refuse(refusal, 400, "the target '*' is for OPTIONS only");
	}
	if (target.at[0] != '/' && !strip_absolute(&target))
		return refuse(refusal, 400, "the request target must begin with '/' or be an http URI");
	mark = memchr(target.at, '?', target.len);
	request->path = (struct text){ target.at, mark ? (size_t)(mark - target.at) : target.len };
	if (mark)
		request->query = (struct text){ mark + 1, target.len - request->path.len - 1 };
	if (!request->path.len)
		request->path = (struct text){ "/", 1 };
	return HTTP_DONE;
}

/* False: no method of HTTP that we know. */
static bool parse_method(struct text name, enum http_method *ret_method)
{
	static const struct {
		const char *name;
		enum http_method method;
	} known[] = { { "GET", HTTP_GET }, { "HEAD", HTTP_HEAD }, { "OPTIONS", HTTP_OPTIONS },
		{ "POST", HTTP_OTHER }, { "PUT", HTTP_OTHER }, { "DELETE", HTTP_OTHER },
		{ "PATCH", HTTP_OTHER }, { "TRACE", HTTP_OTHER }, { "CONNECT", HTTP_OTHER } };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (name.len == strlen(known[i].name) && !memcmp(name.at, known[i].name, name.len)) {
			*ret_method = known[i].method;
			return true;
		}
	}
	return false;
}

static enum http_result parse_line(
	struct text line, struct http_request *request, struct http_refusal *refusal)
{
	struct text part[3], version;

	if (!split_line(line, part))
		return refuse(refusal, 400, "the request line is not 'METHOD TARGET HTTP/1.1'");
	version = part[2];
	if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || version.at[6] != '.' ||
		version.at[5] < '0' || version.at[5] > '9' || version.at[7] < '0' || version.at[7] > '9')
		return refuse(refusal, 400, "the request line does not end with an HTTP version");
	if (version.at[5] != '1')
		return refuse(refusal, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	request->http10 = version.at[7] == '0';
	if (!is_token(part[0]))
		return refuse(refusal, 400, "the method is no token");
	if (!parse_method(part[0], &request->method))
		return refuse(refusal, 501, "this method is not known here");
	if (text_is(part[0], "CONNECT")) { /* its target is HOST:PORT */
		request->path = (struct text){ "/", 1 };
		return HTTP_DONE;
	}
	return parse_target(part[1], request, refusal);
}

/* What the fields say about the message as a whole. */
struct framing {
	unsigned n_host, n_length;
	bool body, transfer_encoding, bad_length, close, keep;
};

static void parse_length(struct text value, struct framing *framing)
{
	framing->n_length++;
	if (!value.len)
		framing->bad_length = true;
	for (size_t i = 0; i < value.len; i++) {
		framing->bad_length = framing->bad_length || value.at[i] < '0' || value.at[i] > '9';
		framing->body = framing->body || value.at[i] != '0';
	}
}

/* The next element of a comma separated list, without blanks; false at its end. */
static bool next_element(struct text *list, struct text *ret_element)
{
	while (list->len) {
		const char *comma = memchr(list->at, ',', list->len);
		size_t len = comma ? (size_t)(comma - list->at) : list->len;
		struct text element = { list->at, len };

		list->at += comma ? len + 1 : len;
		list->len -= comma ? len + 1 : len;
		while (element.len && (element.at[0] == ' ' || element.at[0] == '\t'))
			element.at++, element.len--;
		while (element.len &&
			(element.at[element.len - 1] == ' ' || element.at[element.len - 1] == '\t'))
			element.len--;
		*ret_element = element;
		if (element.len)
			return true;
	}
	return false;
}

static bool host_is_sound(struct text host)
{
	for (size_t i = 0; i < host.len; i++)
		if (host.at[i] <= ' ' || host.at[i] >= 0x7f || strchr("/?#@\\\"<>,", host.at[i]))
			return false;
	return true;
}

static enum http_result take_field(struct text name, struct text value, struct http_request *request,
	struct framing *framing, struct http_refusal *refusal)
{
	struct text element;

	if (text_is(name, "host")) {
		framing->n_host++;
		if (!host_is_sound(value))
			return refuse(refusal, 400, "the Host field is no host");
	} else if (text_is(name, "content-length")) {
		parse_length(value, framing);
	} else if (text_is(name, "transfer-encoding")) {
		framing->transfer_encoding = true;
	} else if (text_is(name, "connection")) {
		while (next_element(&value, &element)) {
			framing->close = framing->close || text_is(element, "close");
			framing->keep = framing->keep || text_is(element, "keep-alive");
		}
	} else if (text_is(name, "origin")) {
		request->origin = value;
	} else if (text_is(name, "authorization")) {
		if (request->authorization.at)
			return refuse(refusal, 400, "Authorization is given twice");
		request->authorization = value;
	} else if (text_is(name, "access-control-request-method")) {
		request->request_method = value;
	} else if (text_is(name, "if-none-match")) {
		if (request->n_if_none_match < ARRAY_SIZE(request->if_none_match))
			request->if_none_match[request->n_if_none_match++] = value;
	}
	return HTTP_DONE;
}

static enum http_result parse_field(
	struct text line, struct http_request *request, struct framing *framing, struct http_refusal *refusal)
{
	const char *colon = memchr(line.at, ':', line.len);
	struct text name, value;

	if (line.at[0] == ' ' || line.at[0] == '\t')
		return refuse(refusal, 400, "a header field is folded over several lines");
	if (!colon)
		return refuse(refusal, 400, "a header field has no colon");
	name = (struct text){ line.at, (size_t)(colon - line.at) };
	if (!is_token(name))
		return refuse(refusal, 400, "the name of a header field is no token");
	value = (struct text){ colon + 1, line.len - name.len - 1 };
	while (value.len && (value.at[0] == ' ' || value.at[0] == '\t'))
		value.at++, value.len--;
	while (value.len && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
		value.len--;
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return refuse(refusal, 400, "a header field holds a control character");
	}
	return take_field(name, value, request, framing, refusal);
}

static enum http_result check_framing(
	const struct framing *framing, struct http_request *request, struct http_refusal *refusal)
{
	if (framing->n_host > 1 || (!framing->n_host && !request->http10))
		return refuse(refusal, 400, "a request needs exactly one Host field");
	if (framing->bad_length || framing->n_length > 1)
		return refuse(refusal, 400, "Content-Length is not one number");
	request->unread_body = framing->body || framing->transfer_encoding;
	if (request->method != HTTP_OTHER) {
		if (framing->transfer_encoding)
			return refuse(refusal, 400, "a request with a body is not accepted");
		if (framing->body)
			return refuse(refusal, 413, "a request with a body is not accepted");
	}
	request->keep_alive = !request->unread_body && !framing->close && (!request->http10 || framing->keep);
	return HTTP_DONE;
}

/* head: from the first byte of the request line to the end of the empty line; every line ends with CR LF. */
static enum http_result parse_head(
	const char *head, const char *end, struct http_request *request, struct http_refusal *refusal)
{
	struct framing framing = { 0 };
	unsigned n = 0;

	memset(request, 0, sizeof(*request));
	for (const char *at = head; at < end - 2; n++) {
		const char *stop = memchr(at, '\r', (size_t)(end - at));
		struct text line = { at, (size_t)(stop - at) };
		enum http_result result;

		if (n > HTTP_FIELDS_MAX)
			return refuse(refusal, 431, "there are too many header fields");
		result = n ? parse_field(line, request, &framing, refusal)
			   : parse_line(line, request, refusal);
		if (result != HTTP_DONE)
			return result;
		at = stop + 2;
	}
	return check_framing(&framing, request, refusal);
}

enum http_result http_parse(struct http_parser *parser, const char *buf, size_t len,
	struct http_request *ret_request, size_t *ret_consumed, struct http_refusal *ret_refusal)
{
	size_t skip = 0;

	while (len - skip >= 2 && skip < 4 && buf[skip] == '\r' && buf[skip + 1] == '\n')
		skip += 2; /* empty lines before a request are to be ignored (RFC 9112, 2.2) */
	if (parser->at < skip)
		parser->at = parser->line_start = skip;
	for (; parser->at < len; parser->at++) {
		char c = buf[parser->at];
		bool after_cr = parser->at > parser->line_start && buf[parser->at - 1] == '\r';

		if (!c)
			return refuse(ret_refusal, 400, "the head of the request holds a NUL");
		if (after_cr != (c == '\n'))
			return refuse(ret_refusal, 400,
				"lines must end with CR LF, and hold neither of them alone");
		if (!parser->in_fields && parser->at - skip >= HTTP_LINE_MAX)
			return refuse(ret_refusal, 414, "the request line is too long");
		if (parser->at - skip >= HTTP_HEAD_MAX)
			return refuse(ret_refusal, 431, "the header fields are too large");
		if (c != '\n')
			continue;
		if (parser->at - parser->line_start == 1) {
			*ret_consumed = parser->at + 1;
			if (!parser->in_fields)
				return refuse(ret_refusal, 400, "the request line is empty");
			return parse_head(buf + skip, buf + *ret_consumed, ret_request, ret_refusal);
		}
		parser->in_fields = true;
		parser->line_start = parser->at + 1;
	}
	return HTTP_MORE;
}

int http_decode(struct text text, bool plus_is_blank, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c == '%') {
			int high = i + 2 < text.len ? hex_digit((unsigned char)text.at[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_digit((unsigned char)text.at[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -1;
			c = (unsigned char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if (!c || n + 1 >= size)
			return -1;
		buf[n++] = (char)c;
	}
	buf[n] = 0;
	return (int)n;
}

bool http_none_match(const struct http_request *request, const char *etag)
{
	struct text element;

	for (unsigned i = 0; i < request->n_if_none_match; i++) {
		struct text list = request->if_none_match[i];

		while (next_element(&list, &element)) {
			if (element.len > 2 &&
				!memcmp(element.at, "W/", 2)) /* weak comparison (RFC 9110, 13.1.2) */
				element.at += 2, element.len -= 2;
			if ((element.len == 1 && element.at[0] == '*') ||
				(element.len == strlen(etag) && !memcmp(element.at, etag, element.len)))
				return true;
		}
	}
	return false;
}

const char *http_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Unknown";
	}
}
