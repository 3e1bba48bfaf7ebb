-- Runs that wait, or were pruned; runs published by hand.

ALTER TABLE lambda.runs DROP CONSTRAINT runs_state_check;
ALTER TABLE lambda.runs ADD CONSTRAINT runs_state_check
    CHECK (state IN ('running', 'built', 'quarantined', 'published', 'superseded', 'failed', 'pruned'));
COMMENT ON COLUMN lambda.runs.state IS 'running; built: complete, waits to be published by hand, for one before it was rolled back; quarantined: the same, for its result is not plausible; published: was published at least once; superseded: another run was published first; failed: see message; pruned: its rows were dropped';
COMMENT ON COLUMN lambda.runs.message IS 'why it failed, or waits, or waited';

ALTER TABLE lambda.publications DROP CONSTRAINT publications_kind_check;
ALTER TABLE lambda.publications ADD CONSTRAINT publications_kind_check CHECK (kind IN ('run', 'rollback', 'publish', 'replay'));
COMMENT ON COLUMN lambda.publications.kind IS 'run: by the run itself; publish: by hand; rollback: back to an older run; replay';
