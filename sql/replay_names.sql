-- the products' names by run $1, and where they come from
SELECT sku, name, named_ms, named_partition, named_offset
FROM lambda.product_names
WHERE run = $1::bigint;
