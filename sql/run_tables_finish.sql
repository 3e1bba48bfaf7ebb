-- keys and statistics of the tables of run $1
SELECT lambda.run_tables_finish($1::bigint);
