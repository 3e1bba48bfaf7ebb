-- corrections of business days $1 to $2 (days since 1970), of currency $3 (or null), by all runs that were published, one row per cause
SELECT c.run, c.day - DATE '1970-01-01', c.currency, c.before_e4, c.after_e4, w.cause, w.net_e4, w.events
FROM lambda.corrections c
LEFT JOIN lambda.correction_causes w ON w.run = c.run AND w.day = c.day AND w.currency = c.currency
WHERE c.day BETWEEN DATE '1970-01-01' + $1::integer AND DATE '1970-01-01' + $2::integer
  AND ($3::text IS NULL OR c.currency = $3::text)
  AND EXISTS (SELECT FROM lambda.publications n WHERE n.run = c.run)
ORDER BY c.day, c.currency, c.run, w.cause
LIMIT $4::bigint;
