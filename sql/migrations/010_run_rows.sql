-- How many rows a run has stored.
ALTER TABLE lambda.runs ADD COLUMN n_rows bigint;
COMMENT ON COLUMN lambda.runs.n_rows IS 'rows of its tables; null: not stored yet, or by an older program';

-- Corrections of a range of days, by any run.
CREATE INDEX corrections_day ON lambda.corrections (day);
