-- whoever holds the lock of a run knows that no other is running
UPDATE lambda.runs
SET state = 'failed', finished_at = clock_timestamp(), message = 'its process ended before it did'
WHERE state = 'running';
