-- which of the runs $1 and $2 was pruned: its rows are going, or gone
SELECT run FROM lambda.runs WHERE run IN ($1::bigint, $2::bigint) AND state = 'pruned';
