-- the number of what is published now
SELECT coalesce((SELECT publication FROM lambda.published), 0);
