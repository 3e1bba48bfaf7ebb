-- was run $1 published? Waits for a transaction that is still at it
SELECT state = 'published' FROM lambda.runs WHERE run = $1::bigint FOR UPDATE;
