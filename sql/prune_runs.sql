-- runs whose rows are not needed any more: all but the newest $1 that were published, those that wait and are newer than what is
-- published, that itself, and what a run at work compares with or replays
SELECT r.run
FROM lambda.runs r
WHERE r.run <> coalesce((SELECT p.run FROM lambda.published p), 0)
  AND NOT EXISTS (SELECT FROM lambda.runs w WHERE w.state = 'running' AND r.run IN (w.base_run, w.replay_of))
  AND CASE WHEN r.state = 'published' THEN (SELECT count(*) FROM lambda.runs n WHERE n.state = 'published' AND n.run > r.run) >= $1::bigint
           WHEN r.state IN ('built', 'quarantined') THEN r.run < (SELECT p.run FROM lambda.published p)
           ELSE false END
ORDER BY r.run;
