-- blocks of ids are swept while nobody looks for his among them; true when this session has the lock now
SELECT pg_try_advisory_lock(1818324322, 3);
