-- where migrations are noted; before the first one
CREATE SCHEMA IF NOT EXISTS lambda;
COMMENT ON SCHEMA lambda IS 'internal to the lambda programs; read the schema revenue instead';
CREATE TABLE IF NOT EXISTS lambda.migrations (
    version integer PRIMARY KEY CHECK (version > 0),
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
