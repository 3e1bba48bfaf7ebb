-- a session whose work takes long and must last: time limits that were set for others, and a COMMIT that does not wait for its
-- disk, are none of its business; $1 how long it waits for a lock, in ms
SELECT set_config('lock_timeout', $1, false),
       (SELECT count(set_config(name, '0', false)) FROM pg_settings
        WHERE name IN ('statement_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout')),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, false);
