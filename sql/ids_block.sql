-- the body of block $1
SELECT body FROM lambda.id_blocks WHERE hash = $1;
