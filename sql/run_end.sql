-- run $1 ends without being published: $2 state, $3 message
UPDATE lambda.runs
SET state = $2, finished_at = clock_timestamp(), message = $3
WHERE run = $1::bigint AND state = 'running';
