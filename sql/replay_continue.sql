-- the tables of run $1 get what run $2 has, added to what they hold
SELECT lambda.run_tables_continue($1::bigint, $2::bigint);
