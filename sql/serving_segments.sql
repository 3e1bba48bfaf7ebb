-- the segments of run $1, a currency after the other
SELECT currency, segment, customers, orders, gross_e4, refunds_e4
FROM lambda.segments
WHERE run = $1::bigint
ORDER BY currency;
