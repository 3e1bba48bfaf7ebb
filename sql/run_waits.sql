-- the run that was rolled back and had fold version $1, by which another one must wait to be published by hand; null: none
SELECT max(r.run)
FROM lambda.published p
JOIN lambda.publications n ON n.publication = p.publication AND n.kind = 'rollback'
JOIN lambda.publications l ON l.publication < p.publication AND l.run > p.run
JOIN lambda.runs r ON r.run = l.run AND r.fold_version = $1;
