-- what customer $2 did in run $1, minutes since 1970 in [$3, $4)
SELECT (extract(epoch FROM minute) / 60)::bigint, currency, gross_e4, refunds_e4, orders, refund_count
FROM lambda.customer_minutes
WHERE run = $1::bigint AND customer_id = $2::text
  AND minute >= to_timestamp($3::bigint * 60.0) AND minute < to_timestamp($4::bigint * 60.0);
