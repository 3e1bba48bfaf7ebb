-- run $1 is pruned from here on, unless it is published, or what a run at work compares with or replays, by now; its row is claimed
UPDATE lambda.runs
SET state = 'pruned'
WHERE run = $1::bigint AND state IN ('published', 'built', 'quarantined') AND run <> coalesce((SELECT p.run FROM lambda.published p), 0)
  AND NOT EXISTS (SELECT FROM lambda.runs w WHERE w.state = 'running' AND $1::bigint IN (w.base_run, w.replay_of));
