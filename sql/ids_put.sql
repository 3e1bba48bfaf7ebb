-- block $1: $2 the one before it, or null; $3 its number, $4 its body; in the place of one that is damaged
INSERT INTO lambda.id_blocks (hash, older, number, body)
VALUES ($1, $2, $3::integer, $4::bytea)
ON CONFLICT (hash) DO UPDATE SET older = excluded.older, number = excluded.number, body = excluded.body;
