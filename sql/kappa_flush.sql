-- adds what version $1 has folded of some partitions, each only if its next offset is the expected one; returns those that were added.
-- $2 partition, $3 expected next, $4 new next, $5 latest event, $6 latest record (ms), $7 tail, $8 hour since 1970 before which orders
-- by customer go, or null; then the sums, each array beginning with the partition: $9-11 counters, $12-20 buckets (minute since 1970,
-- day since 1970), $21-26 products, $27-34 orders by customer, $35-40 late events, $41-43 duplicates, $44-46 lost offsets, $47-50
-- product names
WITH flushed AS (
    UPDATE lambda.kappa_offsets o
    SET next_offset = f.next_offset, latest_event_ms = f.latest_event_ms, latest_record_ms = f.latest_record_ms, tail = f.tail
    FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[])
        AS f (partition, expected, next_offset, latest_event_ms, latest_record_ms, tail, from_hour)
    WHERE o.id = $1::bigint AND o.partition = f.partition AND o.next_offset = f.expected
    RETURNING o.partition, o.next_offset, f.from_hour
), counters AS (
    INSERT INTO lambda.kappa_counters AS t (id, partition, name, n)
    SELECT $1::bigint, partition, v.name, v.n
    FROM unnest($9::integer[], $10::text[], $11::bigint[]) AS v (partition, name, n)
    JOIN flushed USING (partition)
    ON CONFLICT (id, partition, name) DO UPDATE SET n = t.n + excluded.n
), buckets AS MATERIALIZED (
    SELECT partition, next_offset, to_timestamp(v.minute * 60.0) AS minute, date '1970-01-01' + v.day AS day, v.currency,
           v.gross_e4, v.refunds_e4, v.orders, v.refund_count, v.units
    FROM unnest($12::integer[], $13::bigint[], $14::integer[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[],
                $20::bigint[]) AS v (partition, minute, day, currency, gross_e4, refunds_e4, orders, refund_count, units)
    JOIN flushed USING (partition)
), minutes AS (
    INSERT INTO lambda.kappa_minutes AS t (id, partition, minute, currency, day, gross_e4, refunds_e4, orders, refund_count, units)
    SELECT $1::bigint, partition, minute, currency, day, gross_e4, refunds_e4, orders, refund_count, units
    FROM buckets
    ON CONFLICT (id, partition, minute, currency) DO UPDATE
    SET gross_e4 = t.gross_e4 + excluded.gross_e4, refunds_e4 = t.refunds_e4 + excluded.refunds_e4, orders = t.orders + excluded.orders,
        refund_count = t.refund_count + excluded.refund_count, units = t.units + excluded.units
), days AS (
    INSERT INTO lambda.kappa_days AS t (id, partition, day, currency, gross_e4, refunds_e4, orders, refund_count, units, upto)
    SELECT $1::bigint, partition, day, currency, sum(gross_e4), sum(refunds_e4), sum(orders), sum(refund_count), sum(units), next_offset
    FROM buckets
    GROUP BY partition, day, currency, next_offset
    ON CONFLICT (id, partition, day, currency) DO UPDATE
    SET gross_e4 = t.gross_e4 + excluded.gross_e4, refunds_e4 = t.refunds_e4 + excluded.refunds_e4, orders = t.orders + excluded.orders,
        refund_count = t.refund_count + excluded.refund_count, units = t.units + excluded.units, upto = excluded.upto
), products AS (
    INSERT INTO lambda.kappa_products AS t (id, partition, day, currency, sku, net_e4, units)
    SELECT $1::bigint, partition, date '1970-01-01' + v.day, v.currency, v.sku, v.net_e4, v.units
    FROM unnest($21::integer[], $22::integer[], $23::text[], $24::text[], $25::bigint[], $26::bigint[])
        AS v (partition, day, currency, sku, net_e4, units)
    JOIN flushed USING (partition)
    ON CONFLICT (id, day, partition, currency, sku) DO UPDATE SET net_e4 = t.net_e4 + excluded.net_e4, units = t.units + excluded.units
), customers_gone AS (
    DELETE FROM lambda.kappa_customers c
    USING flushed f
    WHERE c.id = $1::bigint AND c.partition = f.partition AND c.minute < to_timestamp(f.from_hour * 3600.0)
), customers AS (
    INSERT INTO lambda.kappa_customers AS t (id, partition, customer_id, minute, currency, gross_e4, refunds_e4, orders, refund_count)
    SELECT $1::bigint, partition, v.customer_id, to_timestamp(v.minute * 60.0), v.currency, v.gross_e4, v.refunds_e4, v.orders,
           v.refund_count
    FROM unnest($27::integer[], $28::bigint[], $29::text[], $30::text[], $31::bigint[], $32::bigint[], $33::bigint[], $34::bigint[])
        AS v (partition, minute, currency, customer_id, gross_e4, refunds_e4, orders, refund_count)
    JOIN flushed USING (partition)
    ON CONFLICT (id, customer_id, minute, currency, partition) DO UPDATE
    SET gross_e4 = t.gross_e4 + excluded.gross_e4, refunds_e4 = t.refunds_e4 + excluded.refunds_e4, orders = t.orders + excluded.orders,
        refund_count = t.refund_count + excluded.refund_count
), late AS (
    INSERT INTO lambda.kappa_late AS t (id, partition, day, currency, events, net_e4, worst_ms, upto)
    SELECT $1::bigint, partition, date '1970-01-01' + v.day, v.currency, v.events, v.net_e4, v.worst_ms, next_offset
    FROM unnest($35::integer[], $36::integer[], $37::text[], $38::bigint[], $39::bigint[], $40::bigint[])
        AS v (partition, day, currency, events, net_e4, worst_ms)
    JOIN flushed USING (partition)
    ON CONFLICT (id, partition, day, currency) DO UPDATE
    SET events = t.events + excluded.events, net_e4 = t.net_e4 + excluded.net_e4, worst_ms = greatest(t.worst_ms, excluded.worst_ms),
        upto = excluded.upto
), duplicates AS (
    INSERT INTO lambda.kappa_duplicates AS t (id, partition, day, n, upto)
    SELECT $1::bigint, partition, date '1970-01-01' + v.day, v.n, next_offset
    FROM unnest($41::integer[], $42::integer[], $43::bigint[]) AS v (partition, day, n)
    JOIN flushed USING (partition)
    ON CONFLICT (id, partition, day) DO UPDATE SET n = t.n + excluded.n, upto = excluded.upto
), names AS (
    INSERT INTO lambda.kappa_names AS t (id, sku, partition, name, time_ms)
    SELECT $1::bigint, v.sku, partition, v.name, v.time_ms
    FROM unnest($47::integer[], $48::text[], $49::text[], $50::bigint[]) AS v (partition, sku, name, time_ms)
    JOIN flushed USING (partition)
    ON CONFLICT (id, sku, partition) DO UPDATE SET name = excluded.name, time_ms = excluded.time_ms
    WHERE t.time_ms <= excluded.time_ms
), lost AS (
    INSERT INTO lambda.kappa_lost (id, partition, from_offset, to_offset)
    SELECT $1::bigint, partition, v.from_offset, v.to_offset
    FROM unnest($44::integer[], $45::bigint[], $46::bigint[]) AS v (partition, from_offset, to_offset)
    JOIN flushed USING (partition)
)
SELECT partition FROM flushed;
