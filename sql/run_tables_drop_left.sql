-- tables of runs that never were published; how many there were
SELECT lambda.run_tables_drop_left();
