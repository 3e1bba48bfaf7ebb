-- notes a migration; $1 version, $2 name
INSERT INTO lambda.migrations (version, name) VALUES ($1::integer, $2);
