-- version $1 does not go on until the end of this transaction
SELECT partition FROM lambda.kappa_offsets WHERE id = $1::bigint ORDER BY partition FOR SHARE;
