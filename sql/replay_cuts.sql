-- where run $1 ends, by partition
SELECT partition, next_offset FROM lambda.cuts WHERE run = $1::bigint ORDER BY partition;
