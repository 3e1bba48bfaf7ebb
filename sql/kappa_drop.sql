-- version $1 goes, with all that it has
SELECT lambda.kappa_drop($1::bigint);
