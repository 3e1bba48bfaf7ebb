-- what run $1 had counted
SELECT coalesce(records, 0), coalesce(rejected, 0) FROM lambda.runs WHERE run = $1::bigint;
