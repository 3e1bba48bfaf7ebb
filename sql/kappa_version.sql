-- version $1 of the Kappa store, and whether any is live
SELECT v.id, v.fold_version, v.log, v.time_zone, EXISTS (SELECT FROM lambda.kappa_live)
FROM (SELECT 1) AS one
LEFT JOIN lambda.kappa_versions v ON v.version = $1;
