-- where run $1 begins and ends, by partition; the last column is the newest block of its ids, or null
SELECT partition, first_offset, next_offset, latest_event_ms, latest_record_ms, tail, ids
FROM lambda.cuts
WHERE run = $1::bigint
ORDER BY partition;
