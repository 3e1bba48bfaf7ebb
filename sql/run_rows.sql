-- run $1 has stored $2 rows
UPDATE lambda.runs SET n_rows = $2::bigint WHERE run = $1::bigint;
