-- run $1 is complete but not published: $2 state, $3 why
UPDATE lambda.runs
SET state = $2, finished_at = clock_timestamp(), progress = NULL, message = $3
WHERE run = $1::bigint;
