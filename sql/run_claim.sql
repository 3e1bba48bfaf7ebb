-- the state of run $1, which nobody changes until the end of this transaction; waits for one that is at it
SELECT state FROM lambda.runs WHERE run = $1::bigint FOR UPDATE;
