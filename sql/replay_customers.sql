-- what the customers of run $1 had done goes to customer_parts; how many events that is
WITH known AS (
    INSERT INTO customer_parts
    SELECT customer_id, currency, gross_e4, refunds_e4, orders, refund_count,
           coalesce((extract(epoch FROM first_order) / 60)::bigint, 2147483647),
           coalesce((extract(epoch FROM last_order) / 60)::bigint, -2147483648)
    FROM lambda.customers
    WHERE run = $1::bigint
    RETURNING orders + refund_count AS events
)
SELECT coalesce(sum(events), 0)::bigint FROM known;
