-- what run $1 counted: $2 records, $3 counted, $4 duplicate, $5 rejected, $6 late, $7 rejected by reason; $8 start of what it keeps by
-- customer, ms since 1970, or null
UPDATE lambda.runs
SET records = $2::bigint, counted = $3::bigint, duplicate = $4::bigint, rejected = $5::bigint, late = $6::bigint,
    rejected_by = $7::jsonb, customers_from = to_timestamp($8::bigint / 1000.0)
WHERE run = $1::bigint;
