-- what customer $2 did in version $1 of the Kappa store, minutes since 1970 in [$3, $4), and whether it keeps such things; one row with
-- nulls when there is nothing, no row when there is no such version any more
SELECT (extract(epoch FROM c.minute) / 60)::bigint, c.currency, c.gross_e4, c.refunds_e4, c.orders, c.refund_count,
       strpos(v.fold_version, ';customers=no') = 0
FROM lambda.kappa_versions v
LEFT JOIN lambda.kappa_customers c ON c.id = v.id AND c.customer_id = $2::text
      AND c.minute >= to_timestamp($3::bigint * 60.0) AND c.minute < to_timestamp($4::bigint * 60.0)
WHERE v.id = $1::bigint;
