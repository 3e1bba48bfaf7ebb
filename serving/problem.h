/* An answer that is an error: RFC 9457, application/problem+json. */
#ifndef SERVING_PROBLEM_H
#define SERVING_PROBLEM_H

#include "serving/body.h"

struct problem {
	int status;
	char detail[320]; /* a sentence for a person; may quote what the client sent */
};

/* Fills *problem and returns -1, so that a caller can return it. */
int problem_set(struct problem *problem, int status, const char *format, ...) PRINTF_LIKE(3, 4);

/* The caller owns one reference. */
struct body *problem_body(const struct problem *problem);

#endif
