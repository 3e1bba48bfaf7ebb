/* The content of an answer: immutable bytes and their entity tag, shared by reference count. One thread. */
#ifndef SERVING_BODY_H
#define SERVING_BODY_H

#include "serving/out.h"

struct body {
	unsigned refs;
	char etag[36]; /* strong, with its quotes: equal bytes have equal tags */
	size_t len;
	char data[];
};

/* Takes the text out of *out, which is empty afterwards; NULL when it went beyond its limit. The caller owns
 * one reference. */
struct body *body_of_out(struct out *out);
struct body *body_ref(struct body *body);
void body_unref(struct body *body); /* NULL is fine */

/* Bytes in all bodies that are alive: what slow readers can hold is bounded by refusing new large answers
 * beyond a limit. */
size_t body_bytes_alive(void);

#endif
