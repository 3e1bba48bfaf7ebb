-- a run starts: $1 build, $2 fold version, $3 time zone, $4 base publication, $5 base run, $6 the run that it replays or null. No row:
-- that one was pruned meanwhile; from here on it is not
INSERT INTO lambda.runs (state, build, fold_version, time_zone, log, base_publication, base_run, replay_of)
SELECT 'running', $1, $2, $3, '', $4::bigint, $5::bigint, $6::bigint
WHERE $6::bigint IS NULL OR EXISTS (SELECT FROM lambda.runs WHERE run = $6::bigint AND state = 'published' FOR SHARE)
RETURNING run;
