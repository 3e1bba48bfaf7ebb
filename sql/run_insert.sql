-- a run starts: $1 build, $2 fold version, $3 time zone, $4 base publication, $5 base run
INSERT INTO lambda.runs (state, build, fold_version, time_zone, log, base_publication, base_run)
VALUES ('running', $1, $2, $3, '', $4::bigint, $5::bigint)
RETURNING run;
