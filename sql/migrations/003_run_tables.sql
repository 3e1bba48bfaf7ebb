-- The tables of one run: plain ones while they are filled, partitions once the run is published. Only the session that holds the
-- lock of a run calls these.

CREATE FUNCTION lambda.run_tables_create(run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['revenue_minutes', 'revenue_days', 'product_days', 'product_names'] LOOP
        EXECUTE format('CREATE TABLE lambda.%I (LIKE lambda.%I INCLUDING DEFAULTS)', parent || '_r' || run, parent);
    END LOOP;
END
$$;
COMMENT ON FUNCTION lambda.run_tables_create IS 'empty tables NAME_rRUN; to be filled in the same transaction (COPY ... FREEZE)';

-- The CHECK and the key spare ATTACH a scan and the building of an index, which would hold its locks for so long.
CREATE FUNCTION lambda.run_tables_finish(run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    keys CONSTANT text[] := ARRAY['run, minute, currency', 'run, day, currency', 'run, day, currency, sku', 'run, sku'];
    parents CONSTANT text[] := ARRAY['revenue_minutes', 'revenue_days', 'product_days', 'product_names'];
    name text;
BEGIN
    FOR i IN 1 .. array_length(parents, 1) LOOP
        name := parents[i] || '_r' || run;
        EXECUTE format('ALTER TABLE lambda.%I ADD PRIMARY KEY (%s), ADD CHECK (run = %s)', name, keys[i], run);
        EXECUTE format('ANALYZE lambda.%I', name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION lambda.run_tables_finish IS 'keys and statistics of the tables, once they are filled';

CREATE FUNCTION lambda.run_tables_attach(run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['revenue_minutes', 'revenue_days', 'product_days', 'product_names'] LOOP
        EXECUTE format('ALTER TABLE lambda.%I ATTACH PARTITION lambda.%I FOR VALUES IN (%s)', parent, parent || '_r' || run, run);
    END LOOP;
END
$$;
COMMENT ON FUNCTION lambda.run_tables_attach IS 'makes the tables part of the parents; does not block who reads those';

CREATE FUNCTION lambda.run_tables_drop_left() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    name text;
    n bigint := 0;
BEGIN
    FOR name IN
        SELECT c.relname
        FROM pg_class c
        JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = 'lambda'
        WHERE c.relkind = 'r' AND NOT c.relispartition
          AND c.relname ~ '^(revenue_minutes|revenue_days|product_days|product_names)_r[0-9]+$'
          AND NOT EXISTS (SELECT FROM lambda.runs r
                          WHERE r.run = substring(c.relname FROM '[0-9]+$')::bigint AND r.state = 'built')
    LOOP
        EXECUTE format('DROP TABLE lambda.%I', name);
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION lambda.run_tables_drop_left IS 'drops the tables that runs left which ended before they were published; returns how many';
