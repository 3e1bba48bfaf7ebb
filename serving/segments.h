/* Customers over all history, and their segments (docs/segments.md), as JSON. Pure. */
#ifndef SERVING_SEGMENTS_H
#define SERVING_SEGMENTS_H

#include "common/pg.h"
#include "serving/render.h"

/* Of the rows of sql/serving_segments.sql. The caller owns one reference; NULL with a problem. */
struct body *segments_render(const PGresult *rows, const struct snapshot *snapshot,
	const struct question *question, struct problem *problem);
/* Of the rows of sql/serving_profile.sql; 404 when there is none. */
struct body *segments_render_profile(const PGresult *rows, const struct snapshot *snapshot,
	const struct question *question, struct problem *problem);

#endif
