-- the cut of run $1, by partition from 0
SELECT partition, next_offset, latest_event_ms, latest_record_ms, tail, first_offset
FROM lambda.cuts
WHERE run = $1::bigint
ORDER BY partition;
