-- run $1 becomes publication $2 of kind $3, and what everybody is answered with; tell who listens
WITH publication AS (
    INSERT INTO lambda.publications (publication, run, kind)
    VALUES ($2::bigint, $1::bigint, $3)
    RETURNING publication, run
), published AS (
    INSERT INTO lambda.published (publication, run)
    SELECT publication, run FROM publication
    ON CONFLICT (one) DO UPDATE SET publication = excluded.publication, run = excluded.run
), run AS (
    UPDATE lambda.runs SET state = 'published', finished_at = coalesce(finished_at, clock_timestamp()), progress = NULL
    WHERE run = $1::bigint
)
SELECT pg_notify('lambda_published', $2::bigint::text);
