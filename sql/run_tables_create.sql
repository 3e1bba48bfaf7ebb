-- the tables of run $1, empty
SELECT lambda.run_tables_create($1::bigint);
