-- Offsets that a run went over because they are gone from Kafka and the archive, as --accept-lost allowed.

ALTER TABLE lambda.runs ADD COLUMN lost text NOT NULL DEFAULT '';
COMMENT ON COLUMN lambda.runs.lost IS 'offsets that are gone and were accepted as lost: PARTITION:FROM-TO ..., without TO; empty: none';

CREATE OR REPLACE VIEW revenue.freshness AS
SELECT r.cut_time AS confirmed_until, b.published_at, p.publication, p.run, r.time_zone,
       (SELECT to_timestamp(max(c.latest_event_ms) / 1000.0) FROM lambda.cuts c WHERE c.run = p.run) AS latest_event,
       r.records, r.counted, r.duplicate, r.rejected, r.late, r.truncated, r.lost
FROM lambda.published p
JOIN lambda.publications b USING (publication)
JOIN lambda.runs r ON r.run = p.run;
COMMENT ON COLUMN revenue.freshness.lost IS 'offsets whose orders are missing, because the log had lost them: PARTITION:FROM-TO ...; empty: none';
