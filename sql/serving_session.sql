-- a session of serving: the newest migration that was applied; an end for a statement that takes too long, well before serving
-- gives up on its link (PG_LINK_TIMEOUT_MS), so that only this one fails, and none goes on unseen; and no compiling of statements,
-- which takes longer than they do
SELECT coalesce(max(version), 0), set_config('statement_timeout', '3500', false), set_config('jit', 'off', false) FROM lambda.migrations;
