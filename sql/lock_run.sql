-- one run at a time; true when this session has the lock now
SELECT pg_try_advisory_lock(1818324322, 2);
