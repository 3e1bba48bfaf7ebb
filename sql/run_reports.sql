-- reports on runs, newest first: $1 that one alone, with its cuts (or null), $2 those older than that one (or null), $3 how many at most,
-- $4 and also, however old, what is published and the last one that has ended;
-- run, state, whether it is published now, at work, waits for publish, and the report as JSON
WITH pointer AS (
    SELECT p.publication, p.run FROM lambda.published p
), at_work AS (
    SELECT EXISTS (SELECT FROM pg_locks l
                   WHERE l.locktype = 'advisory' AND l.classid = 1818324322 AND l.objid = 2 AND l.granted
                     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AS yes
), utc AS (
    SELECT 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text AS form
), newest AS (
    SELECT run FROM lambda.runs
    WHERE ($1::bigint IS NULL OR run = $1::bigint) AND ($2::bigint IS NULL OR run < $2::bigint)
    ORDER BY run DESC
    LIMIT $3::bigint
), chosen AS (
    SELECT * FROM lambda.runs
    WHERE run IN (SELECT run FROM newest)
       OR ($4::boolean AND run IN (SELECT run FROM pointer UNION ALL SELECT max(run) FROM lambda.runs WHERE state <> 'running'))
)
SELECT r.run, r.state, pointer.run IS NOT NULL, r.state = 'running' AND at_work.yes,
       r.state IN ('built', 'quarantined') AND r.run > coalesce((SELECT p.run FROM lambda.published p), 0),
       row_to_json(report)
FROM chosen r
CROSS JOIN at_work
CROSS JOIN utc
LEFT JOIN pointer ON pointer.run = r.run
CROSS JOIN LATERAL (
    SELECT r.run, r.state, pointer.run IS NOT NULL AS published, r.message,
           to_char(r.started_at AT TIME ZONE 'UTC', utc.form) AS started_at,
           to_char(r.finished_at AT TIME ZONE 'UTC', utc.form) AS finished_at,
           round(extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at), 3) AS duration_seconds,
           to_char(r.cut_time AT TIME ZONE 'UTC', utc.form) AS cut_time,
           r.records, r.counted, r.duplicate, r.rejected, r.late, r.rejected_by, r.n_rows AS rows,
           (SELECT count(*) FROM lambda.corrections c WHERE c.run = r.run) AS corrections,
           r.base_run, r.replay_of, r.sealed, r.truncated, r.build, r.fold_version, r.time_zone, r.log,
           CASE WHEN r.state = 'running' THEN at_work.yes END AS at_work,
           CASE WHEN r.state = 'running' AND r.progress IS NOT NULL THEN (
               SELECT row_to_json(p)
               FROM (SELECT r.progress ->> 'phase' AS phase, r.progress ->> 'unit' AS unit, (r.progress ->> 'done')::bigint AS done,
                            (r.progress ->> 'total')::bigint AS total, (r.progress ->> 'per_second')::bigint AS per_second,
                            ceil(greatest((r.progress ->> 'total')::numeric - (r.progress ->> 'done')::numeric, 0)
                                 / nullif((r.progress ->> 'per_second')::numeric, 0)) AS seconds_left) p)
           END AS progress,
           to_json(ARRAY(SELECT row_to_json(x)
                         FROM (SELECT n.publication, n.kind, to_char(n.published_at AT TIME ZONE 'UTC', utc.form) AS published_at
                               FROM lambda.publications n WHERE n.run = r.run ORDER BY n.publication) x)) AS publications,
           CASE WHEN $1::bigint IS NOT NULL THEN
               to_json(ARRAY(SELECT row_to_json(x)
                             FROM (SELECT c.partition, c.first_offset AS first, c.next_offset AS next, c.sealed
                                   FROM lambda.cuts c WHERE c.run = r.run ORDER BY c.partition) x))
           END AS cuts
) report
ORDER BY r.run DESC;
