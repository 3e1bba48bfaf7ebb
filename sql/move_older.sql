-- the newest run below run $1 that was published; null: none
SELECT max(run) FROM lambda.runs WHERE run < $1::bigint AND state = 'published';
