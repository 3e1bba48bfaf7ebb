-- A replay: a run that goes on from the result of an older one.

ALTER TABLE lambda.runs ADD COLUMN replay_of bigint REFERENCES lambda.runs;
COMMENT ON COLUMN lambda.runs.replay_of IS 'the run whose result below its cut was taken over; null: everything was computed from the log';

INSERT INTO lambda.role_rights VALUES ('lambda_batch', 'SELECT', 'lambda.customers'),
    ('lambda_batch', 'EXECUTE', 'FUNCTION lambda.run_tables_continue(bigint, bigint)');

-- The tables hold what was counted behind the older run's cut; product names are complete, customers are added up elsewhere.
CREATE FUNCTION lambda.run_tables_continue(run bigint, base bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
REVOKE ALL ON FUNCTION lambda.run_tables_continue(bigint, bigint) FROM PUBLIC;
SELECT lambda.grant_roles();
