/* Counts of what this process has done, and the text that Prometheus reads. One thread. */
#ifndef SERVING_METRICS_H
#define SERVING_METRICS_H

#include "serving/live.h"
#include "serving/question.h"
#include "serving/runs.h"

#define METRICS_STATUSES(X) \
	X(200) \
	X(204) X(304) X(400) X(401) X(404) X(405) X(408) X(413) X(414) X(431) X(500) X(501) X(503) X(505)

enum { METRICS_BUCKETS = 10, METRICS_STATUSES_MAX = 16 };

struct metrics {
	int64_t started_ms; /* wall clock */
	uint64_t requests[QUESTION_N_ROUTES][METRICS_STATUSES_MAX];
	uint64_t latency_buckets[METRICS_BUCKETS]; /* not cumulative; slower ones are only in the count */
	uint64_t latency_count, latency_sum_us;
	uint64_t connections_accepted, connections_refused,
		connections_dropped; /* dropped: idle, to make room */
	size_t connections;
};

void metrics_count(struct metrics *metrics, enum question_route route, int status, uint64_t latency_us);

/* The caller owns one reference. */
struct body *metrics_body(const struct metrics *metrics, const struct live *live, const struct runs *runs);

#endif
