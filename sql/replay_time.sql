-- $1 as ms since 1970: a time with an offset, or one of zone $2
SELECT floor(1000 * extract(epoch FROM CASE WHEN $1::text ~ '(Z|[+-][0-9:]+)$' THEN $1::text::timestamptz
                                            ELSE $1::text::timestamp AT TIME ZONE $2::text END))::bigint;
