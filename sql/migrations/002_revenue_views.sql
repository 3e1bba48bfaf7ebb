-- What BI tools see: confirmed (batch) numbers of the published run. Live numbers come from the API.

CREATE SCHEMA revenue;
COMMENT ON SCHEMA revenue IS 'confirmed revenue, exact, of the published batch run; confirmed_until says how far it reaches';

CREATE VIEW revenue.daily AS
SELECT d.day, d.currency,
       (d.gross_e4 - d.refunds_e4) * 0.0001 AS net, d.gross_e4 * 0.0001 AS gross, d.refunds_e4 * 0.0001 AS refunds,
       d.orders, d.refund_count, d.units,
       (SELECT r.cut_time FROM lambda.runs r, lambda.published p WHERE r.run = p.run) AS confirmed_until
FROM lambda.revenue_days d
WHERE d.run = (SELECT p.run FROM lambda.published p);
COMMENT ON VIEW revenue.daily IS 'revenue per business day and currency; days without orders have no row';
COMMENT ON COLUMN revenue.daily.day IS 'business day, in the time zone that revenue.freshness names';
COMMENT ON COLUMN revenue.daily.currency IS 'ISO 4217; amounts of different currencies are never added up';
COMMENT ON COLUMN revenue.daily.net IS 'gross - refunds';
COMMENT ON COLUMN revenue.daily.gross IS 'total of the orders placed on that day';
COMMENT ON COLUMN revenue.daily.refunds IS 'total of the refunds made on that day, whenever the order was placed';
COMMENT ON COLUMN revenue.daily.orders IS 'orders placed';
COMMENT ON COLUMN revenue.daily.refund_count IS 'refunds made';
COMMENT ON COLUMN revenue.daily.units IS 'units placed - units refunded';
COMMENT ON COLUMN revenue.daily.confirmed_until IS 'orders that had arrived by then are counted';

-- An hour is one of the business time zone, found by its distance from the hour's start: so the hour that a clock change repeats
-- is two hours, and zones with offsets of :30 or :45 have hours that do not cross midnight.
CREATE VIEW revenue.hourly AS
SELECT h.hour, h.day, h.currency,
       (h.gross_e4 - h.refunds_e4) * 0.0001 AS net, h.gross_e4 * 0.0001 AS gross, h.refunds_e4 * 0.0001 AS refunds,
       h.orders::bigint AS orders, h.refund_count::bigint AS refund_count, h.units::bigint AS units,
       (SELECT r.cut_time FROM lambda.runs r, lambda.published p WHERE r.run = p.run) AS confirmed_until
FROM (
    SELECT m.minute - make_interval(mins => extract(minute FROM m.minute AT TIME ZONE
               (SELECT r.time_zone FROM lambda.runs r, lambda.published p WHERE r.run = p.run))::integer) AS hour,
           m.day, m.currency, sum(m.gross_e4) AS gross_e4, sum(m.refunds_e4) AS refunds_e4,
           sum(m.orders) AS orders, sum(m.refund_count) AS refund_count, sum(m.units) AS units
    FROM lambda.revenue_minutes m
    WHERE m.run = (SELECT p.run FROM lambda.published p)
    GROUP BY 1, 2, 3
) h;
COMMENT ON VIEW revenue.hourly IS 'revenue per hour and currency; hours without orders have no row';
COMMENT ON COLUMN revenue.hourly.hour IS 'start of the hour';
COMMENT ON COLUMN revenue.hourly.day IS 'the business day that it belongs to';
COMMENT ON COLUMN revenue.hourly.currency IS 'ISO 4217; amounts of different currencies are never added up';
COMMENT ON COLUMN revenue.hourly.net IS 'gross - refunds';
COMMENT ON COLUMN revenue.hourly.gross IS 'total of the orders placed in that hour';
COMMENT ON COLUMN revenue.hourly.refunds IS 'total of the refunds made in that hour';
COMMENT ON COLUMN revenue.hourly.orders IS 'orders placed';
COMMENT ON COLUMN revenue.hourly.refund_count IS 'refunds made';
COMMENT ON COLUMN revenue.hourly.units IS 'units placed - units refunded';
COMMENT ON COLUMN revenue.hourly.confirmed_until IS 'orders that had arrived by then are counted';

CREATE VIEW revenue.top_products AS
SELECT d.day, d.currency, d.sku, n.name, d.net_e4 * 0.0001 AS net, d.units,
       row_number() OVER (PARTITION BY d.day, d.currency ORDER BY d.net_e4 DESC, d.sku) AS rank_by_net,
       row_number() OVER (PARTITION BY d.day, d.currency ORDER BY d.units DESC, d.sku) AS rank_by_units,
       (SELECT r.cut_time FROM lambda.runs r, lambda.published p WHERE r.run = p.run) AS confirmed_until
FROM lambda.product_days d
LEFT JOIN lambda.product_names n ON n.run = (SELECT p.run FROM lambda.published p) AND n.sku = d.sku
WHERE d.run = (SELECT p.run FROM lambda.published p);
COMMENT ON VIEW revenue.top_products IS 'every product of a business day and currency with its ranks: SELECT ... WHERE day = ... AND rank_by_net <= 10';
COMMENT ON COLUMN revenue.top_products.day IS 'business day';
COMMENT ON COLUMN revenue.top_products.currency IS 'ISO 4217; products of different currencies are never ranked together';
COMMENT ON COLUMN revenue.top_products.sku IS 'the product''s code, byte by byte';
COMMENT ON COLUMN revenue.top_products.name IS 'its latest name; null if no order named it';
COMMENT ON COLUMN revenue.top_products.net IS 'placed - refunded on that day';
COMMENT ON COLUMN revenue.top_products.units IS 'units placed - units refunded';
COMMENT ON COLUMN revenue.top_products.rank_by_net IS '1 is the greatest net; equal ones by sku';
COMMENT ON COLUMN revenue.top_products.rank_by_units IS '1 is the most units; equal ones by sku';
COMMENT ON COLUMN revenue.top_products.confirmed_until IS 'orders that had arrived by then are counted';

CREATE VIEW revenue.freshness AS
SELECT r.cut_time AS confirmed_until, b.published_at, p.publication, p.run, r.time_zone,
       (SELECT to_timestamp(max(c.latest_event_ms) / 1000.0) FROM lambda.cuts c WHERE c.run = p.run) AS latest_event,
       r.records, r.counted, r.duplicate, r.rejected, r.late, r.truncated
FROM lambda.published p
JOIN lambda.publications b USING (publication)
JOIN lambda.runs r ON r.run = p.run;
COMMENT ON VIEW revenue.freshness IS 'how far the confirmed numbers reach; one row, or none before the first publication';
COMMENT ON COLUMN revenue.freshness.confirmed_until IS 'orders that had arrived by then are counted';
COMMENT ON COLUMN revenue.freshness.published_at IS 'when these numbers became the answer';
COMMENT ON COLUMN revenue.freshness.publication IS 'number of the publication; a rollback is one too';
COMMENT ON COLUMN revenue.freshness.run IS 'the run that computed the numbers';
COMMENT ON COLUMN revenue.freshness.time_zone IS 'time zone of the business day';
COMMENT ON COLUMN revenue.freshness.latest_event IS 'the greatest event time that is counted';
COMMENT ON COLUMN revenue.freshness.records IS 'records read = counted + duplicate + rejected';
COMMENT ON COLUMN revenue.freshness.counted IS 'events that are part of the numbers';
COMMENT ON COLUMN revenue.freshness.duplicate IS 'events left out, because their id came before';
COMMENT ON COLUMN revenue.freshness.rejected IS 'records that are no valid event';
COMMENT ON COLUMN revenue.freshness.late IS 'events counted that came after their minute was final';
COMMENT ON COLUMN revenue.freshness.truncated IS 'the log had lost its beginning: older orders are missing';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'revenue_reader') THEN
        CREATE ROLE revenue_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role revenue_reader is not created: not permitted; create it and grant it the schema revenue by hand';
    WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database of this server was migrated just now
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revenue_reader') THEN
        GRANT USAGE ON SCHEMA revenue TO revenue_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA revenue TO revenue_reader;
    END IF;
END
$$;
