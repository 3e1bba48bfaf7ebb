-- products with their names of version $1 of the Kappa store on the business days from $2 to $3 (days since 1970); one row with nulls when it has none, no row when there
-- is no such version any more
SELECT p.currency, p.sku, p.net_e4, p.units, n.name
FROM lambda.kappa_versions v
LEFT JOIN (
    SELECT currency, sku, sum(net_e4)::bigint AS net_e4, sum(units)::bigint AS units
    FROM lambda.kappa_products
    WHERE id = $1::bigint AND day BETWEEN date '1970-01-01' + $2::integer AND date '1970-01-01' + $3::integer
    GROUP BY currency, sku
) p ON true
LEFT JOIN LATERAL (
    SELECT n.name FROM lambda.kappa_names n WHERE n.id = v.id AND n.sku = p.sku ORDER BY n.time_ms DESC, n.partition DESC LIMIT 1
) n ON true
WHERE v.id = $1::bigint;
