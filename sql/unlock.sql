-- the session's locks are free when this has answered
SELECT pg_advisory_unlock_all();
