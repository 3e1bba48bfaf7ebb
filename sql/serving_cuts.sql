-- the cut of run $1
SELECT partition, next_offset, latest_event_ms
FROM lambda.cuts
WHERE run = $1::bigint
ORDER BY partition;
