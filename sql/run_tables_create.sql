-- those tables of run $1 that the array $2 has, empty
SELECT lambda.run_tables_create($1::bigint, $2::text[]);
