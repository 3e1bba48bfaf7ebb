-- is block $1 there?
SELECT EXISTS (SELECT FROM lambda.id_blocks WHERE hash = $1);
