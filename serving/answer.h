/* From a request to its answer: status, fields and body. One thread: the loop's. */
#ifndef SERVING_ANSWER_H
#define SERVING_ANSWER_H

#include "serving/server.h"

struct answer {
	enum question_route route; /* for the metrics */
	int status;
	struct body *body; /* one reference; NULL: none */
	const char *content_type;
	bool tagged; /* with ETag and Cache-Control */
	bool allow, preflight; /* with Allow; with the fields that a CORS preflight asks for */
	bool head_only;
	bool trusted; /* the client showed a token, or none is needed */
	bool wrong_token; /* of a 401: there was one */
};

/* True: *answer is set. False: waiter->done will be called, then answer_take(). */
MUST_USE bool answer_make(struct answer *answer, struct server *server, const struct http_request *request,
	struct waiter *waiter);
/* Takes the reference to body, or the problem where it is NULL. */
void answer_take(struct answer *answer, const struct http_request *request, struct body *body,
	const struct problem *problem);
/* A problem without more to it. */
void answer_refuse(struct answer *answer, int status, const char *detail);
void answer_release(struct answer *answer);

/* Status line and fields with the empty line; returns the length, which fits 1024 bytes. */
size_t answer_head(const struct answer *answer, struct server *server, const struct http_request *request,
	bool last, char *buf, size_t size);
bool answer_sends_body(const struct answer *answer);

#endif
