-- One group role per program, with just the rights that it needs. A program's own user is made a member: CREATE ROLE speed LOGIN
-- PASSWORD '...' IN ROLE lambda_speed. Whoever owns the schema needs none of this; it is also who runs 'lambda-batch migrate'.
--
-- lambda_batch writes numbers, but owns nothing: the tables of a run are made by functions that run with the rights of the owner of
-- the schema. So it cannot change a view, drop what is published, or take the others' rights away.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['lambda_batch', 'lambda_speed', 'lambda_serving'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'role % is not created: not permitted; create it, then SELECT lambda.grant_roles()', wanted;
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this server was migrated just now
        END;
    END LOOP;
END
$$;

-- From here on these four run with the rights of the schema's owner: whoever replaces one must say so again.
CREATE OR REPLACE FUNCTION lambda.run_tables_create(run bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    writer text := (SELECT rolname FROM pg_roles WHERE rolname = 'lambda_batch');
BEGIN
    FOR parent IN SELECT t.parent FROM lambda.run_tables() t LOOP
        EXECUTE format('CREATE TABLE lambda.%I (LIKE lambda.%I INCLUDING DEFAULTS)', parent || '_r' || run, parent);
        IF writer IS NOT NULL THEN
            EXECUTE format('GRANT INSERT ON lambda.%I TO %I', parent || '_r' || run, writer);
        END IF;
    END LOOP;
END
$$;

-- The CHECK and the key spare ATTACH a scan and the building of an index, which would hold its locks for so long.
CREATE OR REPLACE FUNCTION lambda.run_tables_finish(run bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t record;
    name text;
    writer text := (SELECT rolname FROM pg_roles WHERE rolname = 'lambda_batch');
BEGIN
    FOR t IN SELECT * FROM lambda.run_tables() LOOP
        name := t.parent || '_r' || run;
        EXECUTE format('ALTER TABLE lambda.%I ADD PRIMARY KEY (%s), ADD CHECK (run = %s)', name, t.key, run);
        EXECUTE format('ANALYZE lambda.%I', name);
        IF writer IS NOT NULL THEN -- what is complete stays as it is
            EXECUTE format('REVOKE ALL ON lambda.%I FROM %I', name, writer);
        END IF;
    END LOOP;
END
$$;

ALTER FUNCTION lambda.run_tables_attach(bigint) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION lambda.run_tables_drop_left() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION lambda.run_tables_create(bigint), lambda.run_tables_finish(bigint), lambda.run_tables_attach(bigint),
    lambda.run_tables_drop_left() FROM PUBLIC;

-- Readers read the tables of runs through their parents, for which Postgres asks for no right on the tables themselves.
CREATE FUNCTION lambda.grant_roles() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT g.role, g.rights, g.objects
        FROM (VALUES
            ('lambda_batch', 'USAGE', 'SCHEMA lambda'),
            ('lambda_batch', 'SELECT', 'lambda.migrations, lambda.revenue_days'),
            ('lambda_batch', 'SELECT, INSERT, UPDATE', 'lambda.runs, lambda.published'),
            ('lambda_batch', 'SELECT, INSERT', 'lambda.cuts, lambda.publications, lambda.corrections, lambda.correction_causes'),
            ('lambda_batch', 'EXECUTE', 'FUNCTION lambda.run_tables_create(bigint), lambda.run_tables_finish(bigint), '
                || 'lambda.run_tables_attach(bigint), lambda.run_tables_drop_left()'),
            ('lambda_speed', 'USAGE', 'SCHEMA lambda'),
            ('lambda_speed', 'SELECT', 'lambda.migrations, lambda.published, lambda.runs, lambda.cuts'),
            ('lambda_serving', 'USAGE', 'SCHEMA lambda'),
            ('lambda_serving', 'SELECT', 'lambda.migrations, lambda.published, lambda.publications, lambda.runs, lambda.cuts, '
                || 'lambda.corrections, lambda.correction_causes, lambda.revenue_days, lambda.late_days, lambda.product_days, '
                || 'lambda.product_names, lambda.customer_minutes'),
            ('revenue_reader', 'USAGE', 'SCHEMA revenue'),
            ('revenue_reader', 'SELECT', 'ALL TABLES IN SCHEMA revenue')
        ) AS g (role, rights, objects)
        JOIN pg_roles p ON p.rolname = g.role
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', r.rights, r.objects, r.role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION lambda.grant_roles IS 'gives lambda_batch, lambda_speed, lambda_serving and revenue_reader their rights, as far as the roles are there; repeatable';
REVOKE ALL ON FUNCTION lambda.grant_roles() FROM PUBLIC;
SELECT lambda.grant_roles();
