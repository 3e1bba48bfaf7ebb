-- removes the blocks that no run needs which is kept; how many there were, and their bytes
WITH RECURSIVE needed AS (
    SELECT b.hash, b.older
    FROM lambda.cuts c
    JOIN lambda.runs r ON r.run = c.run AND r.state IN ('published', 'built', 'quarantined')
    JOIN lambda.id_blocks b ON b.hash = c.ids
    UNION
    SELECT b.hash, b.older FROM needed n JOIN lambda.id_blocks b ON b.hash = n.older
), swept AS (
    DELETE FROM lambda.id_blocks b WHERE NOT EXISTS (SELECT FROM needed n WHERE n.hash = b.hash)
    RETURNING octet_length(body) AS bytes
)
SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM swept;
