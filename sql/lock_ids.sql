-- no blocks of ids are swept while a session has this; true when this one has it now
SELECT pg_try_advisory_lock_shared(1818324322, 3);
