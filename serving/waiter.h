/* Whoever waits for an answer that is made later. */
#ifndef SERVING_WAITER_H
#define SERVING_WAITER_H

#include "serving/body.h"
#include "serving/question.h"

/* Embedded in the caller's object, which lives until `done` was called: exactly once, later than the call
 * that took the waiter. body: the waiter's reference, or NULL with a problem. */
struct waiter {
	void (*done)(struct waiter *waiter, struct body *body, const struct problem *problem);
	struct question question;
	bool gone; /* set by the caller: nobody wants the answer any more */
	struct waiter *next;
};

#endif
