/* The versions of the Kappa store (sql/kappa_versions.sql): what /v1/status and the metrics say of them.
 * Pure; one thread. */
#ifndef SERVING_VERSIONS_H
#define SERVING_VERSIONS_H

#include "common/pg.h"
#include "serving/out.h"

enum { VERSIONS_MAX = 100 }; /* the newest ones */

struct version {
	char name[80], state[16];
	int64_t at_work; /* 0 or 1 */
	int64_t offsets, behind, per_second;
	int64_t seconds_silent, seconds_left; /* -1: not known */
};

struct versions {
	struct version *at; /* owned */
	size_t n;
};

/* Takes the place of what was there. */
void versions_take(struct versions *versions, const PGresult *result);
void versions_release(struct versions *versions);

/* All of them as a JSON array, which the caller frees. */
char *versions_json(const PGresult *result);
void versions_put_metrics(struct out *out, const struct versions *versions);

#endif
