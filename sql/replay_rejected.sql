-- how many records run $1 has rejected, by reason
SELECT key, value FROM lambda.runs, jsonb_each_text(rejected_by) WHERE run = $1::bigint;
