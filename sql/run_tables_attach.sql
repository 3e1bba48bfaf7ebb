-- the tables of run $1 become partitions
SELECT lambda.run_tables_attach($1::bigint);
