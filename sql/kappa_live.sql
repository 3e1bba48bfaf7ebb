-- the live version, the one before, and the promotion's number; nobody else promotes until the end of this transaction
SELECT l.id, v.version, l.previous, p.version, l.promotion
FROM lambda.kappa_live l
JOIN lambda.kappa_versions v ON v.id = l.id
LEFT JOIN lambda.kappa_versions p ON p.id = l.previous
FOR UPDATE OF l;
