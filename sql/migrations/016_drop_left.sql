-- The tables of a run that is being pruned are dropped by who prunes: two who drop the same table fail.
CREATE OR REPLACE FUNCTION lambda.run_tables_drop_left() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
    n bigint := 0;
BEGIN
    FOR name IN
        SELECT c.relname
        FROM pg_class c
        JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = 'lambda'
        JOIN lambda.run_tables() t ON c.relname ~ ('^' || t.parent || '_r[0-9]+$')
        WHERE c.relkind = 'r' AND NOT c.relispartition
          AND NOT EXISTS (SELECT FROM lambda.runs r
                          WHERE r.run = substring(c.relname FROM '[0-9]+$')::bigint AND r.state IN ('built', 'pruned'))
    LOOP
        EXECUTE format('DROP TABLE lambda.%I', name);
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;
