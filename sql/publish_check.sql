-- what run $1 has counted, and what its days hold
SELECT r.counted, (SELECT coalesce(sum(d.orders + d.refund_count), 0) FROM lambda.revenue_days d WHERE d.run = r.run)
FROM lambda.runs r
WHERE r.run = $1::bigint;
