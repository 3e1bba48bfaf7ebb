-- the published run; no row before the first publication
SELECT p.publication, p.run, r.fold_version, r.log
FROM lambda.published p
JOIN lambda.runs r ON r.run = p.run;
