-- a run starts: $1 build, $2 fold version, $3 time zone, $4 base publication, $5 base run, $6 the run that it replays or null
INSERT INTO lambda.runs (state, build, fold_version, time_zone, log, base_publication, base_run, replay_of)
VALUES ('running', $1, $2, $3, '', $4::bigint, $5::bigint, $6::bigint)
RETURNING run;
