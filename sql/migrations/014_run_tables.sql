-- The tables of a run are made, filled and completed in two transactions beside each other: the largest one, and the others.

DROP FUNCTION lambda.run_tables_create(bigint), lambda.run_tables_finish(bigint), lambda.run_tables_continue(bigint, bigint);

-- The run's writer reads the customers that he has just written, to add them up.
CREATE FUNCTION lambda.run_tables_create(run bigint, parents text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    writer text := (SELECT rolname FROM pg_roles WHERE rolname = 'lambda_batch');
BEGIN
    FOR parent IN SELECT t.parent FROM lambda.run_tables() t WHERE t.parent = ANY (parents) LOOP
        EXECUTE format('CREATE TABLE lambda.%I (LIKE lambda.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', parent || '_r' || run, parent);
        IF writer IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, INSERT ON lambda.%I TO %I', parent || '_r' || run, writer);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION lambda.run_tables_create IS 'empty tables NAME_rRUN; to be filled in the same transaction (COPY ... FREEZE)';

-- The tables hold what was counted behind the older run's cut; product names are complete, customers are added up elsewhere.
CREATE FUNCTION lambda.run_tables_continue(run bigint, base bigint, parents text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t record;
BEGIN
    IF NOT EXISTS (SELECT FROM lambda.runs r WHERE r.run = run_tables_continue.run AND r.state = 'running'
                     AND r.replay_of = run_tables_continue.base) THEN
        RAISE EXCEPTION 'run % is no replay of run % that is at work', run, base;
    END IF;
    -- what was counted is little against what is known: it is what gets hashed
    FOR t IN
        SELECT v.parent, v.key, v.bound, concat_ws(', ', v.sums, v.most) AS columns,
               concat_ws(', ', (SELECT string_agg(format('k.%1$s + coalesce(c.%1$s, 0)', x), ', ') FROM unnest(string_to_array(v.sums, ', ')) x),
                         CASE WHEN v.most IS NOT NULL THEN format('greatest(k.%1$s, c.%1$s)', v.most) END) AS added
        FROM (VALUES
            ('revenue_minutes', 'minute, day, currency', 'gross_e4, refunds_e4, orders, refund_count, units', NULL, 'true'),
            ('revenue_days', 'day, currency', 'gross_e4, refunds_e4, orders, refund_count, units', NULL, 'true'),
            ('product_days', 'day, currency, sku', 'net_e4, units', NULL, 'true'),
            ('late_days', 'day, currency', 'events, net_e4', 'worst_ms', 'true'),
            ('customer_minutes', 'customer_id, minute, currency', 'gross_e4, refunds_e4, orders, refund_count', NULL,
             format('minute >= (SELECT r.customers_from FROM lambda.runs r WHERE r.run = %s)', run))
        ) AS v (parent, key, sums, most, bound)
        WHERE v.parent = ANY (parents)
    LOOP
        EXECUTE format($sql$
            WITH counted AS MATERIALIZED (DELETE FROM lambda.%1$I RETURNING %2$s, %3$s)
            INSERT INTO lambda.%1$I (run, %2$s, %3$s)
            SELECT %4$s, %2$s, %5$s
            FROM (SELECT * FROM lambda.%6$I WHERE run = %7$s AND %8$s) k
            LEFT JOIN counted c USING (%2$s)
            UNION ALL
            SELECT %4$s, %2$s, %3$s
            FROM counted c
            WHERE NOT EXISTS (SELECT FROM lambda.%6$I k WHERE k.run = %7$s AND (%9$s))
        $sql$, t.parent || '_r' || run, t.key, t.columns, run, t.added, t.parent, base, t.bound,
            (SELECT string_agg(format('k.%1$s = c.%1$s', x), ' AND ') FROM unnest(string_to_array(t.key, ', ')) x));
    END LOOP;
END
$$;
COMMENT ON FUNCTION lambda.run_tables_continue IS 'adds the rows of run `base` to those of the tables of `run`, which is a replay of it';

-- The CHECK and the key spare ATTACH a scan and the building of an index, which would hold its locks for so long.
CREATE FUNCTION lambda.run_tables_complete(run bigint, base bigint, parents text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t record;
    name text;
    writer text := (SELECT rolname FROM pg_roles WHERE rolname = 'lambda_batch');
BEGIN
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
COMMENT ON FUNCTION lambda.run_tables_complete IS 'of the tables, once they are filled: what the run `base` adds, if it is not null; keys and statistics';

REVOKE ALL ON FUNCTION lambda.run_tables_create(bigint, text[]), lambda.run_tables_continue(bigint, bigint, text[]),
    lambda.run_tables_complete(bigint, bigint, text[]) FROM PUBLIC;
DELETE FROM lambda.role_rights WHERE objects LIKE 'FUNCTION lambda.run_tables_%';
INSERT INTO lambda.role_rights VALUES ('lambda_batch', 'EXECUTE',
    'FUNCTION lambda.run_tables_create(bigint, text[]), lambda.run_tables_complete(bigint, bigint, text[]), '
        || 'lambda.run_tables_attach(bigint), lambda.run_tables_drop_left(), lambda.run_customers_fill(bigint)');
SELECT lambda.grant_roles();
