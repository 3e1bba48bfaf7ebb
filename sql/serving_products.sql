-- products of run $1 sold on the business days from $2 to $3 (days since 1970), with their names
SELECT p.currency, p.sku, p.net_e4, p.units, n.name
FROM (
    SELECT currency, sku, sum(net_e4)::bigint AS net_e4, sum(units)::bigint AS units
    FROM lambda.product_days
    WHERE run = $1::bigint AND day BETWEEN DATE '1970-01-01' + $2::integer AND DATE '1970-01-01' + $3::integer
    GROUP BY currency, sku
) p
LEFT JOIN lambda.product_names n ON n.run = $1::bigint AND n.sku = p.sku;
