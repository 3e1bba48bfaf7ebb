-- the cut of run $1: $2 partition, $3 first, $4 next, $5 latest event, $6 latest record (ms), $7 tail, $8 sealed, $9 its ids or null
INSERT INTO lambda.cuts (run, partition, first_offset, next_offset, latest_event_ms, latest_record_ms, tail, sealed, ids)
VALUES ($1::bigint, $2::integer, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7, $8::boolean, $9);
