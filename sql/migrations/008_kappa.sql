-- Kappa mode: each version is one fold of the whole log, kept with the offsets that it has reached; one version is live. Written by
-- lambda-speed only. Every sum is kept by partition of the log, so that two workers never wait for each other.

CREATE TABLE lambda.kappa_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL UNIQUE,
    build text NOT NULL,
    fold_version text NOT NULL,
    time_zone text NOT NULL,
    log text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE lambda.kappa_versions IS 'versions of the Kappa store; the rows of a version carry its id, which is never used again';
COMMENT ON COLUMN lambda.kappa_versions.build IS 'the commit of the program that began it';
COMMENT ON COLUMN lambda.kappa_versions.log IS 'CLUSTER_ID/TOPIC';

CREATE TABLE lambda.kappa_promotions (
    promotion bigint PRIMARY KEY CHECK (promotion > 0),
    id bigint NOT NULL,
    version text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('first', 'promote', 'rollback')),
    promoted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE lambda.kappa_promotions IS 'every change of the live version: 1, 2, ... without holes';

CREATE TABLE lambda.kappa_live (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    promotion bigint NOT NULL REFERENCES lambda.kappa_promotions,
    id bigint NOT NULL REFERENCES lambda.kappa_versions,
    previous bigint REFERENCES lambda.kappa_versions ON DELETE SET NULL
);
COMMENT ON TABLE lambda.kappa_live IS 'the pointer: the version that ?view=kappa answers with. No row before the first version';
COMMENT ON COLUMN lambda.kappa_live.previous IS 'where a rollback goes';

CREATE TABLE lambda.kappa_offsets (
    id bigint NOT NULL REFERENCES lambda.kappa_versions ON DELETE CASCADE,
    partition integer NOT NULL CHECK (partition >= 0),
    start_offset bigint NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= start_offset),
    latest_event_ms bigint,
    latest_record_ms bigint,
    tail text NOT NULL DEFAULT '',
    PRIMARY KEY (id, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE lambda.kappa_offsets IS 'the version''s sums are the fold of [start_offset, next_offset) of each partition';
COMMENT ON COLUMN lambda.kappa_offsets.latest_event_ms IS 'greatest event time below next_offset (skewed events left out), ms since 1970; null: none';
COMMENT ON COLUMN lambda.kappa_offsets.latest_record_ms IS 'greatest record timestamp below next_offset; null: none';
COMMENT ON COLUMN lambda.kappa_offsets.tail IS 'OFFSET HASH of the last record below next_offset, or empty';

-- upto: the offset of the flush that changed a row last; a reader asks for what lies behind the one that it has. It depends on how
-- the log was cut into flushes, everything else in these tables on the log alone.
CREATE TABLE lambda.kappa_minutes (
    id bigint NOT NULL,
    partition integer NOT NULL,
    minute timestamptz NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (id, partition, minute, currency)
) WITH (fillfactor = 90);
COMMENT ON TABLE lambda.kappa_minutes IS 'revenue per bucket: UTC minute of event time, and currency';

CREATE TABLE lambda.kappa_days (
    id bigint NOT NULL,
    partition integer NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    units bigint NOT NULL,
    upto bigint NOT NULL,
    PRIMARY KEY (id, partition, day, currency)
) WITH (fillfactor = 50);
COMMENT ON TABLE lambda.kappa_days IS 'the sums of kappa_minutes per business day';

CREATE TABLE lambda.kappa_products (
    id bigint NOT NULL,
    partition integer NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    sku text COLLATE "C" NOT NULL,
    net_e4 bigint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (id, day, partition, currency, sku)
) WITH (fillfactor = 90);

CREATE TABLE lambda.kappa_customers (
    id bigint NOT NULL,
    partition integer NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    currency text NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    PRIMARY KEY (id, customer_id, minute, currency, partition)
);
CREATE INDEX kappa_customers_minute ON lambda.kappa_customers USING brin (minute) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE lambda.kappa_customers IS 'what customers did, per UTC minute of event time and currency, in the last 49 hours of record time';

CREATE TABLE lambda.kappa_late (
    id bigint NOT NULL,
    partition integer NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    events bigint NOT NULL,
    net_e4 bigint NOT NULL,
    worst_ms bigint NOT NULL,
    upto bigint NOT NULL,
    PRIMARY KEY (id, partition, day, currency)
) WITH (fillfactor = 50);
COMMENT ON TABLE lambda.kappa_late IS 'events that came after their minute was final, per business day of the event';

CREATE TABLE lambda.kappa_duplicates (
    id bigint NOT NULL,
    partition integer NOT NULL,
    day date NOT NULL,
    n bigint NOT NULL,
    upto bigint NOT NULL,
    PRIMARY KEY (id, partition, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE lambda.kappa_duplicates IS 'duplicates left out, by the business day that they name';

CREATE TABLE lambda.kappa_counters (
    id bigint NOT NULL,
    partition integer NOT NULL,
    name text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (id, partition, name)
) WITH (fillfactor = 50);
COMMENT ON TABLE lambda.kappa_counters IS 'records = counted + duplicate + excluded + rejected:...; late are of those counted or excluded';

CREATE TABLE lambda.kappa_lost (
    id bigint NOT NULL,
    partition integer NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL,
    PRIMARY KEY (id, partition, from_offset)
);
COMMENT ON TABLE lambda.kappa_lost IS 'offsets that retention took before they were read';

CREATE TABLE lambda.kappa_beats (
    id bigint NOT NULL,
    partition integer NOT NULL,
    worker text NOT NULL,
    time_ms bigint NOT NULL,
    end_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    waiting_ms bigint,
    record_ms bigint,
    held bigint NOT NULL,
    held_ms bigint,
    per_second bigint NOT NULL,
    PRIMARY KEY (id, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE lambda.kappa_beats IS 'what the worker of a partition said last, about once a second';
COMMENT ON COLUMN lambda.kappa_beats.waiting_ms IS 'record timestamp of the oldest record that is not counted yet; null: none';
COMMENT ON COLUMN lambda.kappa_beats.per_second IS 'offsets that it went on by, per second, lately';

CREATE FUNCTION lambda.kappa_tables() RETURNS SETOF text IMMUTABLE LANGUAGE sql AS $$
    VALUES ('kappa_minutes'), ('kappa_days'), ('kappa_products'), ('kappa_customers'), ('kappa_late'),
           ('kappa_duplicates'), ('kappa_counters'), ('kappa_lost'), ('kappa_beats')
$$;
COMMENT ON FUNCTION lambda.kappa_tables IS 'the tables whose rows carry the id of a version and go with it';

CREATE FUNCTION lambda.kappa_drop(dropped bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    DELETE FROM lambda.kappa_versions v WHERE v.id = dropped; -- first: from now on no flush can add anything
    FOR name IN SELECT * FROM lambda.kappa_tables() LOOP
        EXECUTE format('DELETE FROM lambda.%I WHERE id = $1', name) USING dropped;
    END LOOP;
END
$$;
COMMENT ON FUNCTION lambda.kappa_drop IS 'removes a version that is not live, with all that it has';
REVOKE ALL ON FUNCTION lambda.kappa_drop(bigint) FROM PUBLIC;

INSERT INTO lambda.role_rights (role, rights, objects)
SELECT r.role, r.rights, r.objects
FROM (SELECT string_agg('lambda.' || t.name, ', ') AS names FROM lambda.kappa_tables() AS t (name)) AS tables,
     LATERAL (VALUES
         ('lambda_speed', 'SELECT, INSERT, UPDATE', 'lambda.kappa_live'),
         ('lambda_speed', 'SELECT, INSERT', 'lambda.kappa_promotions'),
         ('lambda_speed', 'SELECT, INSERT, UPDATE, DELETE', 'lambda.kappa_versions, lambda.kappa_offsets, ' || tables.names),
         ('lambda_speed', 'EXECUTE', 'FUNCTION lambda.kappa_drop(bigint)'),
         ('lambda_serving', 'SELECT', 'lambda.kappa_versions, lambda.kappa_promotions, lambda.kappa_live, lambda.kappa_offsets, '
             || tables.names)) AS r (role, rights, objects);
SELECT lambda.grant_roles();
