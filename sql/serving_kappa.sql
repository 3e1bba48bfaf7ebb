-- the live version of the Kappa store and what has changed in it since a reader has last asked, as of one moment: $1 the version's id
-- that it has, $2 its partitions, $3 the next offset of each. kind: v version, o offsets, b heartbeat, d day, u duplicates, a late,
-- r rejected, l lost. No row: no version is live
WITH live AS (
    SELECT l.promotion, v.id, v.version, v.fold_version, v.time_zone, floor(extract(epoch FROM p.promoted_at) * 1000)::bigint AS promoted_ms
    FROM lambda.kappa_live l
    JOIN lambda.kappa_versions v ON v.id = l.id
    JOIN lambda.kappa_promotions p ON p.promotion = l.promotion
), offsets AS (
    SELECT o.*, coalesce(k.next_offset, -1) AS known
    FROM live
    JOIN lambda.kappa_offsets o ON o.id = live.id
    LEFT JOIN unnest($2::integer[], $3::bigint[]) AS k (partition, next_offset) ON k.partition = o.partition AND live.id = $1::bigint
)
SELECT 'v' AS kind, NULL::integer AS partition, NULL::integer AS day, version AS t1, fold_version AS t2, time_zone AS t3,
       id AS n1, promotion AS n2, promoted_ms AS n3, NULL::bigint AS n4, NULL::bigint AS n5, NULL::bigint AS n6, NULL::bigint AS n7
FROM live
UNION ALL
SELECT 'o', partition, NULL, NULL, NULL, NULL, start_offset, next_offset, latest_event_ms, NULL, NULL, NULL, NULL
FROM offsets
UNION ALL
SELECT 'b', b.partition, NULL, NULL, NULL, NULL, b.time_ms, b.end_offset, b.next_offset, b.waiting_ms, b.record_ms, b.held, b.held_ms
FROM offsets o
JOIN lambda.kappa_beats b ON b.id = o.id AND b.partition = o.partition
UNION ALL
SELECT 'd', d.partition, d.day - date '1970-01-01', d.currency, NULL, NULL, d.gross_e4, d.refunds_e4, d.orders, d.refund_count, d.units,
       NULL, NULL
FROM offsets o
JOIN lambda.kappa_days d ON d.id = o.id AND d.partition = o.partition AND d.upto > o.known
UNION ALL
SELECT 'u', u.partition, u.day - date '1970-01-01', NULL, NULL, NULL, u.n, NULL, NULL, NULL, NULL, NULL, NULL
FROM offsets o
JOIN lambda.kappa_duplicates u ON u.id = o.id AND u.partition = o.partition AND u.upto > o.known
UNION ALL
SELECT 'a', a.partition, a.day - date '1970-01-01', a.currency, NULL, NULL, a.events, a.net_e4, a.worst_ms, NULL, NULL, NULL, NULL
FROM offsets o
JOIN lambda.kappa_late a ON a.id = o.id AND a.partition = o.partition AND a.upto > o.known
UNION ALL
SELECT 'r', c.partition, NULL, NULL, NULL, NULL, sum(c.n)::bigint, NULL, NULL, NULL, NULL, NULL, NULL
FROM offsets o
JOIN lambda.kappa_counters c ON c.id = o.id AND c.partition = o.partition AND starts_with(c.name, 'rejected:')
GROUP BY c.partition
UNION ALL
SELECT 'l', l.partition, NULL, NULL, NULL, NULL, l.from_offset, l.to_offset, NULL, NULL, NULL, NULL, NULL
FROM offsets o
JOIN lambda.kappa_lost l ON l.id = o.id AND l.partition = o.partition;
