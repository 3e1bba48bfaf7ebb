-- version $1 becomes live, by kind $2: tell who listens
WITH next AS (
    INSERT INTO lambda.kappa_promotions (promotion, id, version, kind)
    SELECT l.promotion + 1, v.id, v.version, $2
    FROM lambda.kappa_live l, lambda.kappa_versions v
    WHERE v.id = $1::bigint
    RETURNING promotion, id
), live AS (
    UPDATE lambda.kappa_live l SET promotion = next.promotion, id = next.id, previous = l.id FROM next
    RETURNING l.promotion
)
SELECT promotion, pg_notify('lambda_kappa', promotion::text) FROM live;
