-- the stored answer of run $1 per business day (days since 1970) and currency, and of how many events it is
SELECT day - date '1970-01-01', currency, gross_e4 - refunds_e4, orders + refund_count
FROM lambda.revenue_days
WHERE run = $1::bigint;
