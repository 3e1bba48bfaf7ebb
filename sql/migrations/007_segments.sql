-- Customers over all history, and the segments that they fall into (docs/segments.md).

CREATE TABLE lambda.customers (
    run bigint NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    first_order timestamptz,
    last_order timestamptz,
    recency smallint CHECK (recency BETWEEN 1 AND 5),
    frequency smallint CHECK (frequency BETWEEN 1 AND 5),
    monetary smallint CHECK (monetary BETWEEN 1 AND 5),
    segment text,
    PRIMARY KEY (run, customer_id, currency),
    CHECK ((orders > 0) = (first_order IS NOT NULL AND last_order IS NOT NULL AND recency IS NOT NULL AND frequency IS NOT NULL
                           AND monetary IS NOT NULL AND segment IS NOT NULL))
) PARTITION BY LIST (run);
COMMENT ON TABLE lambda.customers IS 'what each customer has done over all history, per currency; those who have only refunds have no scores';
COMMENT ON COLUMN lambda.customers.last_order IS 'minute of event time, like first_order';
COMMENT ON COLUMN lambda.customers.recency IS 'quintile of last_order among the customers with orders in this currency; 5: the latest';
COMMENT ON COLUMN lambda.customers.frequency IS 'quintile of orders; 5: the most';
COMMENT ON COLUMN lambda.customers.monetary IS 'quintile of gross - refunds; 5: the most';

CREATE TABLE lambda.segments (
    run bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    segment text NOT NULL,
    customers bigint NOT NULL,
    orders bigint NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    PRIMARY KEY (run, currency, segment)
) PARTITION BY LIST (run);
COMMENT ON TABLE lambda.segments IS 'the sums of customers per segment';

-- The eleven segments by recency, and by frequency and monetary together (their mean, rounded up).
CREATE FUNCTION lambda.segment(recency integer, value integer) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT (ARRAY[
        -- value 1              2                     3                     4           5
        ['lost',           'lost',               'at_risk',            'at_risk',  'cant_lose'],
        ['hibernating',    'hibernating',        'at_risk',            'at_risk',  'cant_lose'],
        ['about_to_sleep', 'about_to_sleep',     'needs_attention',    'loyal',    'loyal'],
        ['promising',      'potential_loyalist', 'potential_loyalist', 'loyal',    'champion'],
        ['new',            'potential_loyalist', 'potential_loyalist', 'champion', 'champion']
    ])[recency][value]
$$;
COMMENT ON FUNCTION lambda.segment IS 'the segment for a recency of 1 to 5 and the mean of frequency and monetary';

CREATE OR REPLACE FUNCTION lambda.run_tables() RETURNS TABLE (parent text, key text) IMMUTABLE LANGUAGE sql AS $$
    VALUES ('revenue_minutes', 'run, minute, currency'),
           ('revenue_days', 'run, day, currency'),
           ('product_days', 'run, day, currency, sku'),
           ('product_names', 'run, sku'),
           ('customer_minutes', 'run, customer_id, minute, currency'),
           ('late_days', 'run, day, currency'),
           ('customers', 'run, customer_id, currency'),
           ('segments', 'run, currency, segment')
$$;

-- Quintiles are as equal in size as can be; who ties with somebody of the next quintile is told from him by the other two
-- measures, then by his id, so that the same log always gives the same segments. Runs with the rights of the caller, who may write to
-- the tables of the run as long as they are not complete.
CREATE FUNCTION lambda.run_customers_fill(run bigint) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    events bigint;
BEGIN
    EXECUTE format($sql$
        INSERT INTO lambda.%I
        SELECT %s, customer_id, currency, gross_e4, refunds_e4, orders, refund_count,
               CASE WHEN orders > 0 THEN to_timestamp(first_minute * 60.0) END,
               CASE WHEN orders > 0 THEN to_timestamp(last_minute * 60.0) END,
               CASE WHEN orders > 0 THEN r END, CASE WHEN orders > 0 THEN f END, CASE WHEN orders > 0 THEN m END,
               CASE WHEN orders > 0 THEN lambda.segment(r, (f + m + 1) / 2) END
        FROM (
            SELECT s.*,
                   ntile(5) OVER (PARTITION BY currency, orders > 0 ORDER BY last_minute, orders, net_e4, customer_id) AS r,
                   ntile(5) OVER (PARTITION BY currency, orders > 0 ORDER BY orders, net_e4, last_minute, customer_id) AS f,
                   ntile(5) OVER (PARTITION BY currency, orders > 0 ORDER BY net_e4, orders, last_minute, customer_id) AS m
            FROM (
                SELECT customer_id, currency, sum(gross_e4)::bigint AS gross_e4, sum(refunds_e4)::bigint AS refunds_e4,
                       sum(orders)::bigint AS orders, sum(refund_count)::bigint AS refund_count,
                       min(first_minute) AS first_minute, max(last_minute) AS last_minute, sum(gross_e4 - refunds_e4) AS net_e4
                FROM pg_temp.customer_parts
                GROUP BY customer_id, currency
            ) s
        ) ranked
        ORDER BY customer_id, currency
    $sql$, 'customers_r' || run, run);
    EXECUTE format($sql$
        INSERT INTO lambda.%I
        SELECT run, currency, segment, count(*), sum(orders), sum(gross_e4), sum(refunds_e4)
        FROM lambda.%I
        WHERE segment IS NOT NULL
        GROUP BY run, currency, segment
    $sql$, 'segments_r' || run, 'customers_r' || run);
    EXECUTE format('SELECT coalesce(sum(orders + refund_count), 0) FROM lambda.%I', 'customers_r' || run) INTO events;
    RETURN events;
END
$$;
COMMENT ON FUNCTION lambda.run_customers_fill IS 'adds up pg_temp.customer_parts, ranks, and fills customers and segments of the run; returns the number of events';
REVOKE ALL ON FUNCTION lambda.run_customers_fill(bigint) FROM PUBLIC;

CREATE VIEW revenue.customers AS
SELECT c.customer_id, c.currency, c.segment, c.recency, c.frequency, c.monetary, c.orders, c.refund_count,
       (c.gross_e4 - c.refunds_e4) * 0.0001 AS net, c.gross_e4 * 0.0001 AS gross, c.refunds_e4 * 0.0001 AS refunds,
       c.first_order, c.last_order, greatest(r.cut_time - c.last_order, interval '0') AS since_last_order, r.cut_time AS confirmed_until
FROM lambda.customers c
JOIN lambda.published p ON p.run = c.run
JOIN lambda.runs r ON r.run = c.run;
COMMENT ON VIEW revenue.customers IS 'customers over all history, and their segment; one row per currency';
COMMENT ON COLUMN revenue.customers.segment IS 'of the eleven in docs/segments.md; null: no order in this currency, only refunds';
COMMENT ON COLUMN revenue.customers.recency IS '1 to 5; 5: among the fifth that ordered last';
COMMENT ON COLUMN revenue.customers.frequency IS '1 to 5; 5: among the fifth with the most orders';
COMMENT ON COLUMN revenue.customers.monetary IS '1 to 5; 5: among the fifth with the highest net';
COMMENT ON COLUMN revenue.customers.net IS 'gross - refunds';
COMMENT ON COLUMN revenue.customers.since_last_order IS 'from the last order to the run''s cut';
COMMENT ON COLUMN revenue.customers.confirmed_until IS 'orders that had arrived by then are counted';

CREATE VIEW revenue.segments AS
SELECT s.currency, s.segment, s.customers, s.orders, (s.gross_e4 - s.refunds_e4) * 0.0001 AS net, s.gross_e4 * 0.0001 AS gross,
       s.refunds_e4 * 0.0001 AS refunds, r.cut_time AS confirmed_until
FROM lambda.segments s
JOIN lambda.published p ON p.run = s.run
JOIN lambda.runs r ON r.run = s.run;
COMMENT ON VIEW revenue.segments IS 'how many customers are in each segment, and what they bought; empty segments are left out';
COMMENT ON COLUMN revenue.segments.confirmed_until IS 'orders that had arrived by then are counted';

-- The rights of the roles are rows from here on: whoever adds a table adds a row, and grants again.
CREATE TABLE lambda.role_rights (
    role text NOT NULL,
    rights text NOT NULL,
    objects text NOT NULL,
    PRIMARY KEY (role, rights, objects)
);
COMMENT ON TABLE lambda.role_rights IS 'what lambda.grant_roles() grants';
INSERT INTO lambda.role_rights VALUES
    ('lambda_batch', 'USAGE', 'SCHEMA lambda'),
    ('lambda_batch', 'SELECT', 'lambda.migrations, lambda.revenue_days'),
    ('lambda_batch', 'SELECT, INSERT, UPDATE', 'lambda.runs, lambda.published'),
    ('lambda_batch', 'SELECT, INSERT', 'lambda.cuts, lambda.publications, lambda.corrections, lambda.correction_causes'),
    ('lambda_batch', 'EXECUTE', 'FUNCTION lambda.run_tables_create(bigint), lambda.run_tables_finish(bigint), '
        || 'lambda.run_tables_attach(bigint), lambda.run_tables_drop_left(), lambda.run_customers_fill(bigint)'),
    ('lambda_speed', 'USAGE', 'SCHEMA lambda'),
    ('lambda_speed', 'SELECT', 'lambda.migrations, lambda.published, lambda.runs, lambda.cuts'),
    ('lambda_serving', 'USAGE', 'SCHEMA lambda'),
    ('lambda_serving', 'SELECT', 'lambda.migrations, lambda.published, lambda.publications, lambda.runs, lambda.cuts, '
        || 'lambda.corrections, lambda.correction_causes, lambda.revenue_days, lambda.late_days, lambda.product_days, '
        || 'lambda.product_names, lambda.customer_minutes, lambda.customers, lambda.segments'),
    ('revenue_reader', 'USAGE', 'SCHEMA revenue'),
    ('revenue_reader', 'SELECT', 'ALL TABLES IN SCHEMA revenue');

CREATE OR REPLACE FUNCTION lambda.grant_roles() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT g.* FROM lambda.role_rights g JOIN pg_roles p ON p.rolname = g.role LOOP
        EXECUTE format('GRANT %s ON %s TO %I', r.rights, r.objects, r.role);
    END LOOP;
END
$$;

-- The run's writer reads the customers that he has just written, to add them up.
CREATE OR REPLACE FUNCTION lambda.run_tables_create(run bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    writer text := (SELECT rolname FROM pg_roles WHERE rolname = 'lambda_batch');
BEGIN
    FOR parent IN SELECT t.parent FROM lambda.run_tables() t LOOP
        EXECUTE format('CREATE TABLE lambda.%I (LIKE lambda.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', parent || '_r' || run, parent);
        IF writer IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, INSERT ON lambda.%I TO %I', parent || '_r' || run, writer);
        END IF;
    END LOOP;
END
$$;
SELECT lambda.grant_roles();
