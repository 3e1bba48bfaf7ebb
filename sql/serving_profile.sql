-- customer $2 in run $1, over all history
SELECT currency, segment, recency, frequency, monetary, orders, refund_count, gross_e4, refunds_e4,
       (extract(epoch FROM first_order) / 60)::bigint, (extract(epoch FROM last_order) / 60)::bigint
FROM lambda.customers
WHERE run = $1::bigint AND customer_id = $2::text
ORDER BY currency;
