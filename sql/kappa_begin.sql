-- version $1 has partition $2 from the log's first offset $3 on, unless it has it already
INSERT INTO lambda.kappa_offsets (id, partition, start_offset, next_offset)
SELECT id, $2::integer, $3::bigint, $3::bigint FROM lambda.kappa_versions WHERE id = $1::bigint
ON CONFLICT (id, partition) DO NOTHING;
