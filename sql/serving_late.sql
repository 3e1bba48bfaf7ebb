-- the late ledger of run $1 per business day (days since 1970) and currency
SELECT day - DATE '1970-01-01', currency, events, net_e4, worst_ms
FROM lambda.late_days
WHERE run = $1::bigint;
