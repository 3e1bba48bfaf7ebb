-- what worker $2 of version $1 says: $3 its clock (ms), then by partition: $4 partition, $5 log's end, $6 next, $7 waiting since, $8 last
-- arrival, $9 held back, $10 since when, $11 offsets per second, $12 whether it reads the archive (0, 1)
INSERT INTO lambda.kappa_beats (id, partition, worker, time_ms, end_offset, next_offset, waiting_ms, record_ms, held, held_ms, per_second,
                                archive)
SELECT v.id, b.partition, $2, $3::bigint, b.end_offset, b.next_offset, b.waiting_ms, b.record_ms, b.held, b.held_ms, b.per_second,
       b.archive <> 0
FROM lambda.kappa_versions v,
     unnest($4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
            $12::integer[]) AS b (partition, end_offset, next_offset, waiting_ms, record_ms, held, held_ms, per_second, archive)
WHERE v.id = $1::bigint
ON CONFLICT (id, partition) DO UPDATE
SET worker = excluded.worker, time_ms = excluded.time_ms, end_offset = excluded.end_offset, next_offset = excluded.next_offset,
    waiting_ms = excluded.waiting_ms, record_ms = excluded.record_ms, held = excluded.held, held_ms = excluded.held_ms,
    per_second = excluded.per_second, archive = excluded.archive;
