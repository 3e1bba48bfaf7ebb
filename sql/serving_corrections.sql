-- corrections of run $1 with their causes, one row per cause (or one with nulls)
SELECT c.day - DATE '1970-01-01', c.currency, c.before_e4, c.after_e4, w.cause, w.net_e4, w.events
FROM lambda.corrections c
LEFT JOIN lambda.correction_causes w ON w.run = c.run AND w.day = c.day AND w.currency = c.currency
WHERE c.run = $1::bigint
ORDER BY c.day, c.currency, w.cause;
