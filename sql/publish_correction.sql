-- a correction by run $1: $2 day since 1970, $3 currency, $4 net before, $5 net after
INSERT INTO lambda.corrections (run, day, currency, before_e4, after_e4)
VALUES ($1::bigint, date '1970-01-01' + $2::integer, $3, $4::bigint, $5::bigint);
