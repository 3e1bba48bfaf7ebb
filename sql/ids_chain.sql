-- the blocks from the first one to block $1
WITH RECURSIVE chain AS (
    SELECT hash, older, number FROM lambda.id_blocks WHERE hash = $1
    UNION ALL
    SELECT b.hash, b.older, b.number
    FROM chain c
    JOIN lambda.id_blocks b ON b.hash = c.older AND b.number = c.number - 1
)
SELECT hash FROM chain ORDER BY number;
