-- the run of publication $1; no row: there is no such publication
SELECT run FROM lambda.publications WHERE publication = $1::bigint;
