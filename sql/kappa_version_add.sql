-- version $1 begins: $2 build, $3 fold version, $4 time zone, $5 log; the first one of all is live. Another worker may be faster
WITH added AS (
    INSERT INTO lambda.kappa_versions (version, build, fold_version, time_zone, log)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (version) DO NOTHING
    RETURNING id, version
), promotion AS (
    INSERT INTO lambda.kappa_promotions (promotion, id, version, kind)
    SELECT coalesce((SELECT max(promotion) FROM lambda.kappa_promotions), 0) + 1, id, version, 'first'
    FROM added
    WHERE NOT EXISTS (SELECT FROM lambda.kappa_live)
    RETURNING promotion, id
)
INSERT INTO lambda.kappa_live (promotion, id)
SELECT promotion, id FROM promotion;
