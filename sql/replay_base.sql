-- the newest run up to $3 (and of number $4, if that is given) all of whose records are older than $1 (ms since 1970); with the
-- settings of fold version $2, whatever its kernel; and what run $3 goes without
SELECT r.run, r.records, r.counted, r.duplicate, r.late, r.truncated, r.lost, p.lost
FROM lambda.runs r
JOIN lambda.runs p ON p.run = $3::bigint AND p.log = r.log AND p.time_zone = r.time_zone
WHERE r.state = 'published' AND r.run <= $3::bigint AND ($4::bigint IS NULL OR r.run = $4::bigint)
  AND substring(r.fold_version FROM ';.*') = substring($2::text FROM ';.*')
  AND EXISTS (SELECT FROM lambda.cuts c WHERE c.run = r.run)
  AND NOT EXISTS (SELECT FROM lambda.cuts c WHERE c.run = r.run AND c.latest_record_ms >= $1::bigint)
ORDER BY r.run DESC
LIMIT 1;
