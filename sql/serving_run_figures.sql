-- for the metrics: the last run that has ended, whether one is at work, how many wait to be published
SELECT r.run, r.state, floor(extract(epoch FROM r.finished_at) * 1000)::bigint,
       floor(extract(epoch FROM r.finished_at - r.started_at) * 1000)::bigint,
       r.records, r.counted, r.duplicate, r.rejected, r.late, r.n_rows,
       (SELECT count(*) FROM lambda.corrections c WHERE c.run = r.run),
       (SELECT count(*) FROM lambda.runs w WHERE w.state IN ('built', 'quarantined')
                                             AND w.run > coalesce((SELECT p.run FROM lambda.published p), 0)),
       EXISTS (SELECT FROM pg_locks l
               WHERE l.locktype = 'advisory' AND l.classid = 1818324322 AND l.objid = 2 AND l.granted
                 AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))::integer
FROM lambda.runs r
WHERE r.finished_at IS NOT NULL
ORDER BY r.run DESC
LIMIT 1;
