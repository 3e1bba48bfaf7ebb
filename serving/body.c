#include "common/base.h"
#include "serving/body.h"

#include "common/kernel/hash.h"
#include "common/mem.h"

static size_t body_alive; /* counts for the limit; the process has one thread */

struct body *body_of_out(struct out *out)
{
	struct body *body = NULL;

	if (!out->full) {
		uint64_t low, high;

		hash_128(out->buf ? out->buf : "", out->len, &low, &high);
		body = xmalloc(sizeof(*body) + out->len);
		body->refs = 1;
		body->len = out->len;
		snprintf(body->etag, sizeof(body->etag), "\"%016" PRIx64 "%016" PRIx64 "\"", high, low);
		if (out->len)
			memcpy(body->data, out->buf, out->len);
		body_alive += body->len;
	}
	out_release(out);
	return body;
}

struct body *body_ref(struct body *body)
{
	body->refs++;
	return body;
}

void body_unref(struct body *body)
{
	if (!body || --body->refs)
		return;
	body_alive -= body->len;
	free(body);
}

size_t body_bytes_alive(void)
{
	return body_alive;
}
