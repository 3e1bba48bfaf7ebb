-- no blocks of ids are swept while a session has this; released with it
SELECT pg_advisory_lock_shared(1818324322, 3);
