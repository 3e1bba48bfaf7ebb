-- products of run $1 sold on business day $2 (days since 1970), with their names
SELECT p.currency, p.sku, p.net_e4, p.units, n.name
FROM lambda.product_days p
LEFT JOIN lambda.product_names n ON n.run = $1::bigint AND n.sku = p.sku
WHERE p.run = $1::bigint AND p.day = DATE '1970-01-01' + $2::integer;
