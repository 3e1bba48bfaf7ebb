-- removes the blocks that no run needs which is kept; how many there were, and their bytes. None while a run is at work (it holds the
-- lock of lock_run.sql): it has some that nothing names yet. One that starts just now waits before it looks for its blocks, for the
-- lock of lock_sweep.sql, which has to be had before.
WITH RECURSIVE needed AS (
    SELECT b.hash, b.older
    FROM lambda.cuts c
    JOIN lambda.runs r ON r.run = c.run AND r.state IN ('published', 'built', 'quarantined')
    JOIN lambda.id_blocks b ON b.hash = c.ids
    UNION
    SELECT b.hash, b.older FROM needed n JOIN lambda.id_blocks b ON b.hash = n.older
), swept AS (
    DELETE FROM lambda.id_blocks b
    WHERE NOT EXISTS (SELECT FROM needed n WHERE n.hash = b.hash)
      AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = 1818324322 AND l.objid = 2
                        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
    RETURNING octet_length(body) AS bytes
)
SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM swept;
