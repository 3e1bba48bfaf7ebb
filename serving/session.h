/* A connection: requests in, answers out, one after the other. Every wait has a deadline, and what it holds
 * is bounded: a fixed buffer for the head of a request, and one answer at a time. One thread: the loop's. */
#ifndef SERVING_SESSION_H
#define SERVING_SESSION_H

#include "serving/server.h"

struct session;

/* Takes the connection that waits on the server's listener. An error of libuv, or 0. */
int session_accept(struct server *server);
/* Ends it at once, whatever it does; memory goes when nobody needs it any more. */
void session_close(struct session *session);
/* We are stopping: what is under way is answered, and nothing after it. */
void session_hurry(struct session *session);
struct session *session_next(struct session *session); /* in the server's list of busy ones */

#endif
