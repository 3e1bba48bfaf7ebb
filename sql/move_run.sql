-- what must be known of run $1 before the pointer may move to it
SELECT state, fold_version, log, time_zone, base_run, coalesce(message, '')
FROM lambda.runs
WHERE run = $1::bigint;
