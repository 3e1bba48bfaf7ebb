-- run $1 is pruned from here on, unless it is published by now; its row is claimed
UPDATE lambda.runs
SET state = 'pruned'
WHERE run = $1::bigint AND state IN ('published', 'built', 'quarantined') AND run <> coalesce((SELECT p.run FROM lambda.published p), 0);
