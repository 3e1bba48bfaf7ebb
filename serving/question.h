/* What a client asks for: path and query, checked. Pure. */
#ifndef SERVING_QUESTION_H
#define SERVING_QUESTION_H

#include "common/kernel/event.h"
#include "serving/http.h"
#include "serving/problem.h"

enum {
	QUESTION_DAYS_MAX = 3660,
	QUESTION_TOP_MAX = 1000,
	QUESTION_TOP_DEFAULT = 10,
	QUESTION_WINDOW_MIN = 60, /* minutes */
	QUESTION_WINDOW_MAX = 48 * 60,
	QUESTION_WINDOW_DEFAULT = 24 * 60,
};

/* route, name in the metrics */
#define QUESTION_ROUTES(X) \
	X(INDEX, "index") \
	X(DAY, "day") \
	X(RANGE, "range") \
	X(LATE, "late") \
	X(PRODUCTS, "products") \
	X(CUSTOMER, "customer") \
	X(PROFILE, "profile") \
	X(SEGMENTS, "segments") \
	X(CORRECTIONS, "corrections") \
	X(RUNS, "runs") \
	X(RUN, "run") \
	X(STATUS, "status") \
	X(LIVEZ, "livez") \
	X(READYZ, "readyz") \
	X(METRICS, "metrics") \
	X(NONE, "none")

enum question_route {
#define X(name, label) QUESTION_##name,
	QUESTION_ROUTES(X)
#undef X
		QUESTION_N_ROUTES,
};

enum question_view { QUESTION_MERGED, QUESTION_BATCH, QUESTION_SPEED, QUESTION_KAPPA };

struct question {
	enum question_route route;
	bool today; /* the business day of the moment of answering, instead of from and to */
	int32_t from, to; /* business days, both included; equal for DAY and LATE */
	int currency; /* -1: all */
	enum question_view view;
	bool view_given; /* by the client */
	bool by_units;
	int limit;
	int window_minutes; /* of CUSTOMER */
	int64_t run; /* of RUN; of RUNS: only older ones, 0: all */
	char customer[EVENT_ID_MAX_BYTES + 1]; /* of CUSTOMER and PROFILE; UTF-8 */
};

/* -1 with a problem: 404 for a path that is not there, 400 for parameters. *ret_question's route is set in
 * any case. */
MUST_USE int question_parse(
	struct text path, struct text query, struct question *ret_question, struct problem *problem);

const char *question_route_name(enum question_route route);

#endif
