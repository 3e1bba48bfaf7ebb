-- Kappa mode: product names, folded from the log as everything else; and where a worker reads.

CREATE TABLE lambda.kappa_names (
    id bigint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    name text NOT NULL,
    time_ms bigint NOT NULL,
    PRIMARY KEY (id, sku, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE lambda.kappa_names IS 'what a partition''s events call a product; its name is that with the greatest (time_ms, partition)';
COMMENT ON COLUMN lambda.kappa_names.time_ms IS 'event time of the event with the name, ms since 1970; of several the last one in the log counts';

CREATE OR REPLACE FUNCTION lambda.kappa_tables() RETURNS SETOF text IMMUTABLE LANGUAGE sql AS $$
    VALUES ('kappa_minutes'), ('kappa_days'), ('kappa_products'), ('kappa_names'), ('kappa_customers'), ('kappa_late'),
           ('kappa_duplicates'), ('kappa_counters'), ('kappa_lost'), ('kappa_beats')
$$;

INSERT INTO lambda.role_rights (role, rights, objects)
VALUES ('lambda_speed', 'SELECT, INSERT, UPDATE, DELETE', 'lambda.kappa_names'), ('lambda_serving', 'SELECT', 'lambda.kappa_names');
SELECT lambda.grant_roles();

ALTER TABLE lambda.kappa_beats ADD COLUMN archive boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN lambda.kappa_beats.archive IS 'its records come from the archive, not from Kafka yet';
