-- a cause of a correction by run $1: $2 day since 1970, $3 currency, $4 cause, $5 net, $6 events
INSERT INTO lambda.correction_causes (run, day, currency, cause, net_e4, events)
VALUES ($1::bigint, date '1970-01-01' + $2::integer, $3, $4, $5::bigint, $6::bigint);
