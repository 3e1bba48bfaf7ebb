-- run $1 knows its cut: $2 log, $3 cut time in ms since 1970, $4 sealed, $5 truncated, $6 lost
UPDATE lambda.runs
SET log = $2, cut_time = to_timestamp($3::bigint / 1000.0), sealed = $4::boolean, truncated = $5::boolean,
    lost = $6
WHERE run = $1::bigint;
