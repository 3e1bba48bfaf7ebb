-- What the functions of the owner do for lambda_batch, they do for a run at work, and not to tables that are partitions already: what is
-- published stays as it is.

CREATE FUNCTION lambda.run_tables_check(run bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM lambda.runs r WHERE r.run = run_tables_check.run AND r.state = 'running')
       OR EXISTS (SELECT FROM lambda.run_tables() t
                  JOIN pg_class c ON c.oid = to_regclass(format('lambda.%I', t.parent || '_r' || run_tables_check.run)) AND c.relispartition) THEN
        RAISE EXCEPTION 'run % is not at work, or its tables are partitions already', run USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
COMMENT ON FUNCTION lambda.run_tables_check IS 'fails unless the run is at work and none of its tables is attached';
REVOKE ALL ON FUNCTION lambda.run_tables_check(bigint) FROM PUBLIC;

-- The CHECK and the key spare ATTACH a scan and the building of an index, which would hold its locks for so long.
CREATE OR REPLACE FUNCTION lambda.run_tables_complete(run bigint, base bigint, parents text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t record;
    name text;
    writer text := (SELECT rolname FROM pg_roles WHERE rolname = 'lambda_batch');
BEGIN
    PERFORM lambda.run_tables_check(run);
    IF base IS NOT NULL THEN
        PERFORM lambda.run_tables_continue(run, base, parents);
    END IF;
    FOR t IN SELECT * FROM lambda.run_tables() r WHERE r.parent = ANY (parents) LOOP
        name := t.parent || '_r' || run;
        EXECUTE format('ALTER TABLE lambda.%I ADD PRIMARY KEY (%s), ADD CHECK (run = %s)', name, t.key, run);
        EXECUTE format('ANALYZE lambda.%I', name);
        IF writer IS NOT NULL THEN -- what is complete stays as it is
            EXECUTE format('REVOKE ALL ON lambda.%I FROM %I', name, writer);
        END IF;
    END LOOP;
END
$$;

-- The key says that a table is complete: nobody may write to it any more.
CREATE OR REPLACE FUNCTION lambda.run_tables_attach(run bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    name text;
BEGIN
    PERFORM lambda.run_tables_check(run);
    FOR parent IN SELECT t.parent FROM lambda.run_tables() t LOOP
        name := parent || '_r' || run;
        IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass(format('lambda.%I', name)) AND i.indisprimary) THEN
            RAISE EXCEPTION 'table lambda.% is not complete', name USING ERRCODE = 'insufficient_privilege';
        END IF;
        EXECUTE format('ALTER TABLE lambda.%I ATTACH PARTITION lambda.%I FOR VALUES IN (%s)', parent, name, run);
    END LOOP;
END
$$;
