-- Orders by customer and minute, the late ledger, and the cause that speed left out what was late. The tables of a run are named in
-- one place from here on.

ALTER TABLE lambda.runs ADD COLUMN customers_from timestamptz;
COMMENT ON COLUMN lambda.runs.customers_from IS 'customer_minutes has the orders from this event time on; null: it has none';

CREATE TABLE lambda.customer_minutes (
    run bigint NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    currency text NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    PRIMARY KEY (run, customer_id, minute, currency)
) PARTITION BY LIST (run);
COMMENT ON TABLE lambda.customer_minutes IS 'what customers did, per UTC minute of event time and currency, in the 49 hours before the run''s cut and since';

CREATE TABLE lambda.late_days (
    run bigint NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    events bigint NOT NULL,
    net_e4 bigint NOT NULL,
    worst_ms bigint NOT NULL,
    PRIMARY KEY (run, day, currency)
) PARTITION BY LIST (run);
COMMENT ON TABLE lambda.late_days IS 'events counted that came after their minute was final, per business day of the event';
COMMENT ON COLUMN lambda.late_days.worst_ms IS 'how far event time was ahead of the latest of them';

ALTER TABLE lambda.correction_causes DROP CONSTRAINT correction_causes_cause_check;
ALTER TABLE lambda.correction_causes ADD CONSTRAINT correction_causes_cause_check
    CHECK (cause IN ('duplicate_beyond_horizon', 'duplicate_other_partition', 'late_excluded', 'recomputed', 'unexplained'));

CREATE FUNCTION lambda.run_tables() RETURNS TABLE (parent text, key text) IMMUTABLE LANGUAGE sql AS $$
    VALUES ('revenue_minutes', 'run, minute, currency'),
           ('revenue_days', 'run, day, currency'),
           ('product_days', 'run, day, currency, sku'),
           ('product_names', 'run, sku'),
           ('customer_minutes', 'run, customer_id, minute, currency'),
           ('late_days', 'run, day, currency')
$$;
COMMENT ON FUNCTION lambda.run_tables IS 'the tables that hold one partition per run, NAME_rRUN, and their keys';

CREATE OR REPLACE FUNCTION lambda.run_tables_create(run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    FOR parent IN SELECT t.parent FROM lambda.run_tables() t LOOP
        EXECUTE format('CREATE TABLE lambda.%I (LIKE lambda.%I INCLUDING DEFAULTS)', parent || '_r' || run, parent);
    END LOOP;
END
$$;

-- The CHECK and the key spare ATTACH a scan and the building of an index, which would hold its locks for so long.
CREATE OR REPLACE FUNCTION lambda.run_tables_finish(run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t record;
    name text;
BEGIN
    FOR t IN SELECT * FROM lambda.run_tables() LOOP
        name := t.parent || '_r' || run;
        EXECUTE format('ALTER TABLE lambda.%I ADD PRIMARY KEY (%s), ADD CHECK (run = %s)', name, t.key, run);
        EXECUTE format('ANALYZE lambda.%I', name);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION lambda.run_tables_attach(run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    FOR parent IN SELECT t.parent FROM lambda.run_tables() t LOOP
        EXECUTE format('ALTER TABLE lambda.%I ATTACH PARTITION lambda.%I FOR VALUES IN (%s)', parent, parent || '_r' || run, run);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION lambda.run_tables_drop_left() RETURNS bigint LANGUAGE plpgsql AS $$
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
                          WHERE r.run = substring(c.relname FROM '[0-9]+$')::bigint AND r.state = 'built')
    LOOP
        EXECUTE format('DROP TABLE lambda.%I', name);
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;

CREATE VIEW revenue.late AS
SELECT l.day, l.currency, l.events, l.net_e4 * 0.0001 AS net, make_interval(secs => l.worst_ms / 1000.0) AS worst,
       (SELECT r.cut_time FROM lambda.runs r, lambda.published p WHERE r.run = p.run) AS confirmed_until
FROM lambda.late_days l
WHERE l.run = (SELECT p.run FROM lambda.published p);
COMMENT ON VIEW revenue.late IS 'orders and refunds that came after their minute was final; all of them are counted in revenue.daily';
COMMENT ON COLUMN revenue.late.day IS 'business day of the order, not of its arrival';
COMMENT ON COLUMN revenue.late.currency IS 'ISO 4217; amounts of different currencies are never added up';
COMMENT ON COLUMN revenue.late.events IS 'how many';
COMMENT ON COLUMN revenue.late.net IS 'placed - refunded';
COMMENT ON COLUMN revenue.late.worst IS 'how far the event times that had arrived before it were ahead, at most';
COMMENT ON COLUMN revenue.late.confirmed_until IS 'orders that had arrived by then are counted';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revenue_reader') THEN
        GRANT SELECT ON revenue.late TO revenue_reader;
    END IF;
END
$$;
