-- how many offsets version $1 lacks of what version $2 has, and in how many partitions it lacks some
SELECT coalesce(sum(b.next_offset - coalesce(a.next_offset, b.start_offset)), 0)::bigint, count(*)
FROM lambda.kappa_offsets b
LEFT JOIN lambda.kappa_offsets a ON a.id = $1::bigint AND a.partition = b.partition
WHERE b.id = $2::bigint AND coalesce(a.next_offset, b.start_offset) < b.next_offset;
