-- What a run is, what is published, and the numbers of each run. Written by lambda-batch only.
-- Amounts (..._e4) are whole numbers of 1/10000 of the currency's unit.

CREATE TABLE lambda.runs (
    run bigint GENERATED ALWAYS AS IDENTITY (START 1) PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('running', 'built', 'published', 'superseded', 'failed')),
    build text NOT NULL,
    fold_version text NOT NULL,
    time_zone text NOT NULL,
    log text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    cut_time timestamptz,
    base_publication bigint NOT NULL,
    base_run bigint NOT NULL,
    records bigint,
    counted bigint,
    duplicate bigint,
    rejected bigint,
    late bigint,
    rejected_by jsonb,
    truncated boolean NOT NULL DEFAULT false,
    sealed boolean,
    progress jsonb,
    message text,
    CHECK (state <> 'published' OR records = counted + duplicate + rejected)
);
COMMENT ON TABLE lambda.runs IS 'one row per execution of lambda-batch run';
COMMENT ON COLUMN lambda.runs.state IS 'running; built: complete, waits to be published; published: was published at least once; superseded: another run was published first; failed: see message';
COMMENT ON COLUMN lambda.runs.build IS 'the commit that the program was built from';
COMMENT ON COLUMN lambda.runs.fold_version IS 'kernel version and every setting that can change a number';
COMMENT ON COLUMN lambda.runs.log IS 'CLUSTER_ID/TOPIC';
COMMENT ON COLUMN lambda.runs.cut_time IS 'wall clock just before the cut was taken: what had arrived by then is in the run';
COMMENT ON COLUMN lambda.runs.base_publication IS 'what was published when the run started, 0: nothing';
COMMENT ON COLUMN lambda.runs.truncated IS 'the log began at an offset above 0 and that was allowed: older orders are missing';
COMMENT ON COLUMN lambda.runs.sealed IS 'every partition''s cut is where lambda-speed''s generation ends';
COMMENT ON COLUMN lambda.runs.progress IS 'phase, done, total, per_second; about once a second while running';

CREATE TABLE lambda.cuts (
    run bigint NOT NULL REFERENCES lambda.runs,
    partition integer NOT NULL CHECK (partition >= 0),
    first_offset bigint NOT NULL CHECK (first_offset >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= first_offset),
    latest_event_ms bigint,
    latest_record_ms bigint,
    tail text NOT NULL,
    sealed boolean NOT NULL,
    PRIMARY KEY (run, partition)
);
COMMENT ON TABLE lambda.cuts IS 'the run covers [first_offset, next_offset) of each partition';
COMMENT ON COLUMN lambda.cuts.latest_event_ms IS 'greatest event time below next_offset (skewed events left out), ms since 1970; null: none';
COMMENT ON COLUMN lambda.cuts.latest_record_ms IS 'greatest record timestamp below next_offset; null: none';
COMMENT ON COLUMN lambda.cuts.tail IS 'OFFSET HASH of the last record below next_offset, or empty';

CREATE TABLE lambda.publications (
    publication bigint PRIMARY KEY CHECK (publication > 0),
    run bigint NOT NULL REFERENCES lambda.runs,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('run', 'rollback', 'replay'))
);
CREATE INDEX publications_run ON lambda.publications (run);
COMMENT ON TABLE lambda.publications IS 'every publishing and rollback: 1, 2, ... without holes';

CREATE TABLE lambda.published (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    publication bigint NOT NULL REFERENCES lambda.publications,
    run bigint NOT NULL REFERENCES lambda.runs
);
COMMENT ON TABLE lambda.published IS 'the pointer: what serving answers with. At most one row; none before the first publication';

-- The four tables below hold one partition per run, NAME_rRUN. It is filled as a plain table and attached when the run is published.
CREATE TABLE lambda.revenue_minutes (
    run bigint NOT NULL,
    minute timestamptz NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (run, minute, currency)
) PARTITION BY LIST (run);
COMMENT ON TABLE lambda.revenue_minutes IS 'revenue per bucket: UTC minute of event time, and currency';
COMMENT ON COLUMN lambda.revenue_minutes.day IS 'the business day that the minute belongs to, in runs.time_zone';

CREATE TABLE lambda.revenue_days (
    run bigint NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (run, day, currency)
) PARTITION BY LIST (run);
COMMENT ON TABLE lambda.revenue_days IS 'the sums of revenue_minutes per business day';

CREATE TABLE lambda.product_days (
    run bigint NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    sku text COLLATE "C" NOT NULL,
    net_e4 bigint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (run, day, currency, sku)
) PARTITION BY LIST (run);

CREATE TABLE lambda.product_names (
    run bigint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (run, sku)
) PARTITION BY LIST (run);
COMMENT ON TABLE lambda.product_names IS 'of the valid event with the greatest (event time, partition, offset) that names the product';

CREATE TABLE lambda.corrections (
    run bigint NOT NULL REFERENCES lambda.runs,
    day date NOT NULL,
    currency text NOT NULL,
    before_e4 bigint NOT NULL,
    after_e4 bigint NOT NULL,
    PRIMARY KEY (run, day, currency)
);
COMMENT ON TABLE lambda.corrections IS 'net of a business day: the answer of the run at its cut, and what was answered for the same offsets before';

CREATE TABLE lambda.correction_causes (
    run bigint NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('duplicate_beyond_horizon', 'duplicate_other_partition', 'recomputed', 'unexplained')),
    net_e4 bigint NOT NULL,
    events bigint NOT NULL CHECK (events >= 0),
    PRIMARY KEY (run, day, currency, cause),
    FOREIGN KEY (run, day, currency) REFERENCES lambda.corrections
);
COMMENT ON TABLE lambda.correction_causes IS 'why; the net amounts of a correction''s causes add up to after - before';
COMMENT ON COLUMN lambda.correction_causes.events IS 'how many events; 0 where they cannot be counted';
