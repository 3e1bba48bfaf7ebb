-- what run $1 counted: $2 records, $3 counted, $4 duplicate, $5 rejected, $6 late, $7 rejected by reason
UPDATE lambda.runs
SET records = $2::bigint, counted = $3::bigint, duplicate = $4::bigint, rejected = $5::bigint, late = $6::bigint,
    rejected_by = $7::jsonb
WHERE run = $1::bigint;
