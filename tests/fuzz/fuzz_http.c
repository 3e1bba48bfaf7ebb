/* What a client sends on a connection; the first two bytes say where it is cut in two. What must hold:
 * - whole, in two pieces and byte by byte are the same requests and refusals, at the same places
 * - an accepted request stands inside the buffer, begins where a path begins, and is decoded within bounds
 * - a refusal has a status of the closed list, and a text */
#include "common/base.h"
#include "serving/http.h"
#include "tests/fuzz/fuzz.h"

struct outcome {
	enum http_result result;
	struct http_request request;
	size_t consumed;
	struct http_refusal refusal;
};

/* The first request of the buffer, which arrives in pieces; each piece as long as what has arrived. */
static struct outcome parse_pieces(const char *buf, size_t len, size_t first, size_t step)
{
	struct http_parser parser = { 0 };
	struct outcome out = { .result = HTTP_MORE };

	for (size_t n = first < len ? first : len; out.result == HTTP_MORE;
		n = n + step < len ? n + step : len) {
		char *piece = fuzz_copy(buf, n);

		out.result = http_parse(&parser, piece, n, &out.request, &out.consumed, &out.refusal);
		free(piece);
		if (n == len)
			break;
	}
	return out;
}

static void check_outcome_same(const struct outcome *a, const struct outcome *b)
{
	assert(a->result == b->result);
	if (a->result == HTTP_REFUSED)
		assert(a->refusal.status == b->refusal.status &&
			!strcmp(a->refusal.detail, b->refusal.detail));
	if (a->result != HTTP_DONE)
		return;
	assert(a->consumed == b->consumed && a->request.method == b->request.method);
	assert(a->request.keep_alive == b->request.keep_alive && a->request.http10 == b->request.http10);
	assert(a->request.path.len == b->request.path.len && a->request.query.len == b->request.query.len);
	assert(a->request.n_if_none_match == b->request.n_if_none_match);
}

static void check_text(struct text text, const char *buf, size_t len)
{
	char decoded[256];

	if (!text.at)
		return;
	assert(text.at >= buf && text.at + text.len <= buf + len);
	for (size_t size = 1; size <= sizeof(decoded); size *= 2) {
		int n = http_decode(text, true, decoded, size);

		assert(n < (int)size);
		assert(n < 0 || strlen(decoded) == (size_t)n);
	}
}

static void check_request(const struct http_request *request, const char *buf, size_t len)
{
	bool own_path = request->path.len == 1 && *request->path.at == '/';

	assert(request->path.len >= 1);
	if (request->asterisk)
		assert(request->method == HTTP_OPTIONS && *request->path.at == '*');
	else
		assert(*request->path.at == '/');
	if (!own_path)
		check_text(request->path, buf, len);
	check_text(request->query, buf, len);
	check_text(request->origin, buf, len);
	check_text(request->request_method, buf, len);
	assert(request->n_if_none_match <= ARRAY_SIZE(request->if_none_match));
	for (unsigned i = 0; i < request->n_if_none_match; i++)
		check_text(request->if_none_match[i], buf, len);
	for (size_t i = 0; !own_path && i < request->path.len; i++)
		assert(request->path.at[i] > ' ' && request->path.at[i] < 0x7f);
	assert(!request->unread_body || (request->method == HTTP_OTHER && !request->keep_alive));
	if (http_none_match(request, "\"a\""))
		assert(request->n_if_none_match > 0);
}

static void check_refusal(const struct http_refusal *refusal)
{
	static const int statuses[] = { 400, 413, 414, 431, 501, 505 };
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		known = known || refusal->status == statuses[i];
	assert(known && *refusal->detail && strcmp(http_reason(refusal->status), "Unknown") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cut = size >= 2 ? (size_t)data[0] << 8 | data[1] : 0;
	char *whole = fuzz_copy(data + (size >= 2 ? 2 : 0), size >= 2 ? size - 2 : 0);
	size_t len = size >= 2 ? size - 2 : 0, at = 0;
	struct outcome out;

	for (unsigned n = 0; n < 16; n++) { /* requests that come one behind the other */
		const char *buf = whole + at;
		struct http_parser parser = { 0 };
		struct outcome pieces;

		out = (struct outcome){ 0 };
		out.result = http_parse(&parser, buf, len - at, &out.request, &out.consumed, &out.refusal);
		pieces = parse_pieces(buf, len - at, len > at ? cut % (len - at + 1) : 0, len);
		check_outcome_same(&out, &pieces);
		if (len - at <= 512) {
			pieces = parse_pieces(buf, len - at, 0, 1);
			check_outcome_same(&out, &pieces);
		}
		if (out.result != HTTP_DONE)
			break;
		assert(out.consumed >= 4 && out.consumed <= len - at && out.consumed <= HTTP_HEAD_MAX + 4);
		check_request(&out.request, buf, out.consumed);
		at += out.consumed;
	}
	if (out.result == HTTP_REFUSED)
		check_refusal(&out.refusal);
	if (out.result == HTTP_MORE)
		assert(len - at < HTTP_HEAD_MAX + 4);
	free(whole);
	return 0;
}
