-- how far run $1 is: $2
UPDATE lambda.runs SET progress = $2::jsonb WHERE run = $1::bigint;
