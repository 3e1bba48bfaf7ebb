-- the log of version $1 was replaced while it was read
UPDATE lambda.kappa_versions SET log = log || ' until it was replaced'
WHERE id = $1::bigint AND log NOT LIKE '% until it was replaced';
