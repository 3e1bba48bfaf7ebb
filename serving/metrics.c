#include "common/base.h"
#include "serving/metrics.h"

#include "common/clock.h"

static const int metrics_statuses[] = {
#define X(status) status,
	METRICS_STATUSES(X)
#undef X
};

static const uint64_t metrics_bounds_us[METRICS_BUCKETS] = { 100, 250, 500, 1000, 2500, 5000, 10000, 50000,
	250000, 1000000 };

void metrics_count(struct metrics *metrics, enum question_route route, int status, uint64_t latency_us)
{
	for (size_t i = 0; i < ARRAY_SIZE(metrics_statuses); i++)
		if (metrics_statuses[i] == status)
			metrics->requests[route][i]++;
	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		if (latency_us <= metrics_bounds_us[i]) {
			metrics->latency_buckets[i]++;
			break;
		}
	}
	metrics->latency_count++;
	metrics->latency_sum_us += latency_us;
}

static void put_head(struct out *out, const char *name, const char *type, const char *help)
{
	out_raw(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct out *out, const char *name, const char *type, const char *help, int64_t value)
{
	put_head(out, name, type, help);
	out_raw(out, "%s %" PRId64 "\n", name, value);
}

static void put_ms(struct out *out, const char *name, const char *help, int64_t ms)
{
	put_head(out, name, "gauge", help);
	out_raw(out, "%s %" PRId64 ".%03d\n", name, ms / 1000, (int)(ms % 1000));
}

static void put_requests(struct out *out, const struct metrics *metrics)
{
	uint64_t sum = 0;

	put_head(out, "lambda_serving_requests_total", "counter", "Requests answered, by route and status.");
	for (int r = 0; r < QUESTION_N_ROUTES; r++)
		for (size_t i = 0; i < ARRAY_SIZE(metrics_statuses); i++)
			if (metrics->requests[r][i])
				out_raw(out,
					"lambda_serving_requests_total{route=\"%s\",code=\"%d\"} %" PRIu64
					"\n",
					question_route_name((enum question_route)r), metrics_statuses[i],
					metrics->requests[r][i]);
	put_head(out, "lambda_serving_request_seconds", "histogram",
		"From a request's last byte to the hand-over of its answer to the kernel.");
	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		sum += metrics->latency_buckets[i];
		out_raw(out, "lambda_serving_request_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
			(double)metrics_bounds_us[i] / 1e6, sum);
	}
	out_raw(out, "lambda_serving_request_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n",
		metrics->latency_count);
	out_raw(out, "lambda_serving_request_seconds_sum %.6f\n", (double)metrics->latency_sum_us / 1e6);
	out_raw(out, "lambda_serving_request_seconds_count %" PRIu64 "\n", metrics->latency_count);
}

static void put_connections(struct out *out, const struct metrics *metrics)
{
	put_value(out, "lambda_serving_connections", "gauge", "Open connections.",
		(int64_t)metrics->connections);
	put_value(out, "lambda_serving_connections_accepted_total", "counter", "Connections accepted.",
		(int64_t)metrics->connections_accepted);
	put_value(out, "lambda_serving_connections_refused_total", "counter",
		"Connections closed at once, for the limit was reached.",
		(int64_t)metrics->connections_refused);
	put_value(out, "lambda_serving_connections_dropped_total", "counter",
		"Idle connections closed to make room.", (int64_t)metrics->connections_dropped);
	put_value(out, "lambda_serving_answer_bytes", "gauge", "Bytes of answers in memory.",
		(int64_t)body_bytes_alive());
}

static void put_snapshot(struct out *out, const struct snapshot *snapshot, int64_t wall_ms)
{
	const struct picture *picture = snapshot->picture;

	put_ms(out, "lambda_serving_snapshot_age_seconds", "Age of what is answered with.",
		wall_ms > snapshot->as_of_ms ? wall_ms - snapshot->as_of_ms : 0);
	put_ms(out, "lambda_serving_speed_age_seconds", "Age of the speed view in it.", snapshot->stale_ms);
	put_value(out, "lambda_serving_publication", "gauge", "Publication in use; 0: none.",
		picture->batch->publication);
	put_value(out, "lambda_serving_run", "gauge", "Batch run in use; 0: none.", picture->batch->run);
	if (snapshot->lag_events >= 0) {
		put_value(out, "lambda_serving_lag_events", "gauge",
			"Records that the speed layer has not counted yet.", snapshot->lag_events);
		put_ms(out, "lambda_serving_lag_seconds", "Age of the oldest of them.", snapshot->lag_ms);
		put_value(out, "lambda_serving_held_events", "gauge",
			"Records that producers' open transactions hold back.", snapshot->held_events);
		put_ms(out, "lambda_serving_held_seconds", "For how long.", snapshot->held_ms);
	}
	put_head(out, "lambda_serving_degraded", "gauge", "1 while answers carry the code.");
	for (enum degraded d = 0; d < DEGRADED_N; d++)
		out_raw(out, "lambda_serving_degraded{code=\"%s\"} %d\n", degraded_code(d),
			(int)(snapshot->degraded >> d & 1));
	put_head(out, "lambda_serving_coverage_offset", "gauge",
		"All events below this offset are in the answers.");
	for (int i = 0; i < picture->n_parts; i++)
		out_raw(out, "lambda_serving_coverage_offset{partition=\"%d\"} %" PRId64 "\n", i,
			picture->parts[i].coverage);
}

static void put_seconds(struct out *out, int64_t ms)
{
	out_raw(out, " %" PRId64 ".%03d\n", ms / 1000, (int)(ms % 1000));
}

/* Latest event times less behind_ms; unknown ones are left out. */
static void put_partition_times(
	struct out *out, const struct picture *picture, const char *name, const char *help, int64_t behind_ms)
{
	put_head(out, name, "gauge", help);
	for (int i = 0; i < picture->n_parts; i++) {
		if (picture->parts[i].latest_event_ms == DATETIME_NONE)
			continue;
		out_raw(out, "%s{partition=\"%d\"}", name, i);
		put_seconds(out, picture->parts[i].latest_event_ms - behind_ms);
	}
}

/* Event time, by partition and of all. The watermark is the least of the partitions that are not idle. */
static void put_event_time(struct out *out, const struct snapshot *snapshot)
{
	const struct picture *picture = snapshot->picture;

	if (snapshot->watermark_ms != DATETIME_NONE) {
		put_head(out, "lambda_serving_watermark_seconds", "gauge",
			"Event time up to which everything is believed to be here, seconds since 1970.");
		out_raw(out, "lambda_serving_watermark_seconds");
		put_seconds(out, snapshot->watermark_ms);
	}
	put_partition_times(out, picture, "lambda_serving_partition_latest_event_seconds",
		"Latest event time of the partition, seconds since 1970.", 0);
	put_partition_times(out, picture, "lambda_serving_partition_final_seconds",
		"Minutes of the partition that end up to here are final: an event in them is late.",
		snapshot->rules->grace_ms);
	put_head(out, "lambda_serving_partition_idle", "gauge",
		"1: nothing has come for a while, the watermark does not wait for it.");
	for (int i = 0; i < picture->n_parts; i++)
		out_raw(out, "lambda_serving_partition_idle{partition=\"%d\"} %d\n", i,
			snapshot_part_idle(snapshot, i));
}

/* Unknown ones are left out. */
static void put_partitions(struct out *out, const struct snapshot *snapshot, const char *name,
	const char *help, int64_t (*value_of)(const struct snapshot *, int))
{
	put_head(out, name, "gauge", help);
	for (int i = 0; i < snapshot->picture->n_parts; i++) {
		int64_t value = value_of(snapshot, i);

		if (value >= 0)
			out_raw(out, "%s{partition=\"%d\"} %" PRId64 "\n", name, i, value);
	}
}

static void put_speed(struct out *out, const struct snapshot *snapshot)
{
	const struct picture *picture = snapshot->picture;
	int64_t late = 0, duplicates = 0;

	put_event_time(out, snapshot);
	put_partitions(out, snapshot, "lambda_serving_partition_lag_events",
		"Records of the partition that are not counted yet.", snapshot_part_lag);
	put_partitions(out, snapshot, "lambda_serving_partition_held_events",
		"Records behind an open transaction.", snapshot_part_held);
	for (size_t i = 0; i < picture->late.n; i++)
		late += ((const struct late_day *)table_at(&picture->late, i))->events;
	for (size_t i = 0; i < picture->duplicates.n; i++)
		duplicates += ((const struct view_duplicates *)table_at(&picture->duplicates, i))->n;
	if (!picture->speed)
		return;
	put_value(out, "lambda_serving_late_events", "gauge", "Late events since the run's cut.", late);
	put_value(out, "lambda_serving_duplicate_events", "gauge",
		"Duplicates that were left out since the run's cut.", duplicates);
	put_value(out, "lambda_serving_rejected_events", "gauge", "Broken records since the run's cut.",
		picture->rejected);
}

/* Of the last run that has ended. */
static void put_run(struct out *out, const struct runs_figures *figures)
{
	static const struct {
		const char *name, *help;
	} names[] = {
#define X(figure, metric, help) { "lambda_batch_" metric, help },
		RUNS_FIGURES(X)
#undef X
	};

	if (!figures->known)
		return;
	put_head(out, "lambda_batch_state", "gauge", "How the last run has ended.");
	out_raw(out, "lambda_batch_state{state=\"%s\"} 1\n", figures->state);
	for (int i = 0; i < RUNS_N_FIGURES; i++) {
		if (figures->values[i] < 0)
			continue;
		if (i == RUNS_FINISHED || i == RUNS_TOOK)
			put_ms(out, names[i].name, names[i].help, figures->values[i]);
		else
			put_value(out, names[i].name, "gauge", names[i].help, figures->values[i]);
	}
}

struct body *metrics_body(const struct metrics *metrics, const struct live *live, const struct runs *runs)
{
	const struct snapshot *snapshot = live_snapshot(live, live_view(live));
	struct out out;

	out_init(&out, 4 << 20);
	put_requests(&out, metrics);
	put_connections(&out, metrics);
	put_value(&out, "lambda_serving_renders_total", "counter", "Snapshots made.",
		(int64_t)live->n_rendered);
	put_value(&out, "lambda_serving_ready", "gauge", "1 when there is something to answer with.",
		snapshot != NULL);
	if (snapshot) {
		put_snapshot(&out, snapshot, clock_wall_ms());
		put_speed(&out, snapshot);
	}
	put_run(&out, &runs->figures);
	versions_put_metrics(&out, &runs->versions);
	put_ms(&out, "process_start_time_seconds", "Start of the process, seconds since 1970.",
		metrics->started_ms);
	put_head(&out, "lambda_serving_info", "gauge", "Version of the program.");
	out_raw(&out, "lambda_serving_info{version=\"%s\"} 1\n", LAMBDA_VERSION);
	return body_of_out(&out);
}
