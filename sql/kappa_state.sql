-- where partition $2 of version $1 is
SELECT o.start_offset, o.next_offset, o.latest_event_ms, o.latest_record_ms, o.tail, v.fold_version, v.log
FROM lambda.kappa_offsets o
JOIN lambda.kappa_versions v ON v.id = o.id
WHERE o.id = $1::bigint AND o.partition = $2::integer;
