-- the names that run $1 knows for the products in the array $2
SELECT sku, name
FROM lambda.product_names
WHERE run = $1::bigint AND sku = ANY ($2::text[]);
