-- what there is in the Kappa store, oldest first: name, id, state, whether somebody is at work on it (a heartbeat in the last 10 s), offsets it
-- covers, offsets it lacks, offsets per second, age of the newest heartbeat (ms; null: none yet), seconds until it has caught up (null: not known),
-- where it reads (null: nobody is at work), build, when it began; and all that as JSON
WITH now AS (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms
), utc AS (
    SELECT 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text AS form
), progress AS (
    SELECT o.id, count(*) AS partitions,
           sum(o.next_offset - o.start_offset)::bigint AS offsets,
           sum(greatest(b.end_offset - o.next_offset, 0))::bigint AS behind,
           sum(b.per_second) FILTER (WHERE b.awake)::bigint AS per_second,
           bool_or(b.archive) FILTER (WHERE b.awake) AS archive,
           bool_or(b.awake) AS at_work,
           min(b.silent_ms) AS silent_ms
    FROM lambda.kappa_offsets o
    LEFT JOIN (
        SELECT b.*, greatest(now.ms - b.time_ms, 0) AS silent_ms, now.ms - b.time_ms < 10000 AS awake FROM lambda.kappa_beats b, now
    ) b USING (id, partition)
    GROUP BY o.id
)
SELECT r.version, v.id, r.state, r.at_work, r.offsets, r.behind, r.per_second, p.silent_ms, r.seconds_left, r.reads, r.build, r.started_at,
       row_to_json(r)
FROM lambda.kappa_versions v
CROSS JOIN utc
LEFT JOIN progress p ON p.id = v.id
CROSS JOIN LATERAL (
    SELECT v.version,
           CASE v.id WHEN (SELECT l.id FROM lambda.kappa_live l) THEN 'live' WHEN (SELECT l.previous FROM lambda.kappa_live l) THEN 'previous'
               ELSE CASE WHEN v.id IN (SELECT x.id FROM lambda.kappa_promotions x) THEN 'old' ELSE 'new' END END AS state,
           coalesce(p.at_work, false) AS at_work,
           CASE WHEN p.at_work THEN CASE WHEN p.archive THEN 'archive' ELSE 'log' END END AS reads,
           coalesce(p.partitions, 0) AS partitions,
           coalesce(p.offsets, 0) AS offsets,
           coalesce(p.behind, 0) AS behind,
           coalesce(p.per_second, 0) AS per_second,
           CASE WHEN p.at_work AND p.behind = 0 THEN 0
                WHEN p.at_work THEN ceil(p.behind::numeric / nullif(p.per_second, 0))::bigint END AS seconds_left,
           round(p.silent_ms / 1000.0, 3) AS silent_seconds,
           to_char(v.created_at AT TIME ZONE 'UTC', utc.form) AS started_at,
           v.build, v.fold_version, v.time_zone, v.log
) r
ORDER BY v.id;
