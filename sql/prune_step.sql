-- the next statement that gets rid of a table of a pruned run, and that table; no row: there is none left. One that is being detached
-- comes first: no other of its parent can be while it is.
SELECT CASE WHEN i.inhdetachpending THEN format('ALTER TABLE lambda.%I DETACH PARTITION lambda.%I FINALIZE', t.parent, c.relname)
            WHEN c.relispartition THEN format('ALTER TABLE lambda.%I DETACH PARTITION lambda.%I CONCURRENTLY', t.parent, c.relname)
            ELSE format('DROP TABLE lambda.%I', c.relname) END,
       c.relname
FROM lambda.run_tables() t
JOIN pg_class c ON c.relname ~ ('^' || t.parent || '_r[0-9]+$') AND c.relkind = 'r'
JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = 'lambda'
JOIN lambda.runs r ON r.run = substring(c.relname FROM '[0-9]+$')::bigint AND r.state = 'pruned'
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
ORDER BY i.inhdetachpending DESC NULLS LAST, r.run, c.relname
LIMIT 1;
