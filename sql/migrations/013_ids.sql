-- What a replay needs of the run that it goes on from, so that it need not read the log below that run's cut: the ids of its events,
-- and where each product's name came from.

CREATE TABLE lambda.id_blocks (
    hash text COLLATE "C" PRIMARY KEY,
    older text COLLATE "C",
    number integer NOT NULL,
    body bytea NOT NULL
);
ALTER TABLE lambda.id_blocks ALTER COLUMN body SET STORAGE EXTERNAL; -- hashes cannot be compressed
COMMENT ON TABLE lambda.id_blocks IS 'the ids of a partition''s records in blocks, each bound to the one before; runs share those that are the same';
COMMENT ON COLUMN lambda.id_blocks.hash IS 'XXH3, 128 bits, of the body, which begins with the older block''s hash';
COMMENT ON COLUMN lambda.id_blocks.number IS 'from 0, along the chain';

ALTER TABLE lambda.cuts ADD COLUMN ids text COLLATE "C";
COMMENT ON COLUMN lambda.cuts.ids IS 'the newest block of the ids below next_offset; empty: there is none; null: they were not kept';

ALTER TABLE lambda.product_names ADD COLUMN named_ms bigint, ADD COLUMN named_partition bigint, ADD COLUMN named_offset bigint;
COMMENT ON COLUMN lambda.product_names.named_ms IS 'event time of the event that has the name (ms since 1970); then its place in the log; null: an older run';

INSERT INTO lambda.role_rights VALUES ('lambda_batch', 'SELECT, INSERT, UPDATE', 'lambda.id_blocks'),
    ('lambda_batch', 'SELECT', 'lambda.product_names');
SELECT lambda.grant_roles();
