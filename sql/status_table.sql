-- the newest $1 runs, as words for people
SELECT r.run || CASE WHEN p.run IS NOT NULL THEN '*' ELSE '' END AS run,
       CASE WHEN r.state <> 'running' OR w.yes THEN r.state ELSE 'died' END AS state,
       to_char(r.started_at, 'YYYY-MM-DD HH24:MI:SS') AS started,
       date_trunc('second', coalesce(r.finished_at, clock_timestamp()) - r.started_at)::text AS took,
       to_char(r.cut_time, 'MM-DD HH24:MI:SS') AS cut, r.records::text, r.counted::text, r.duplicate::text, r.rejected::text, r.late::text,
       r.n_rows::text AS rows, r.build,
       CASE WHEN r.state = 'running' AND w.yes AND r.progress IS NOT NULL
            THEN format('%s: %s of %s %s, %s/s%s', r.progress ->> 'phase', r.progress ->> 'done', r.progress ->> 'total', r.progress ->> 'unit',
                        r.progress ->> 'per_second',
                        ', ' || ceil(greatest((r.progress ->> 'total')::numeric - (r.progress ->> 'done')::numeric, 0)
                                     / nullif((r.progress ->> 'per_second')::numeric, 0)) || ' s left')
            WHEN r.state <> 'published' THEN r.message
            WHEN r.replay_of IS NOT NULL THEN 'replay of ' || r.replay_of END AS note
FROM lambda.runs r
LEFT JOIN lambda.published p ON p.run = r.run
CROSS JOIN (SELECT EXISTS (SELECT FROM pg_locks l
                           WHERE l.locktype = 'advisory' AND l.classid = 1818324322 AND l.objid = 2 AND l.granted
                             AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AS yes) w
ORDER BY r.run DESC
LIMIT $1::bigint;
