-- what run $2 adds to the tables of run $1, unless it is null, and their keys and statistics; of those that the array $3 has
SELECT lambda.run_tables_complete($1::bigint, $2::bigint, $3::text[]);
