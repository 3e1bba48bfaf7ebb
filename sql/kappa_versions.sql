-- what there is in the Kappa store, oldest first: name, id, state, build, rules, when it began (ms), offsets it covers, offsets it lacks,
-- offsets per second, age of the newest heartbeat (ms)
SELECT v.version, v.id,
       CASE WHEN l.id = v.id THEN 'live' WHEN l.previous = v.id THEN 'previous'
            WHEN EXISTS (SELECT FROM lambda.kappa_promotions p WHERE p.id = v.id) THEN 'old' ELSE 'new' END,
       v.build, v.fold_version, floor(extract(epoch FROM v.created_at) * 1000)::bigint,
       coalesce(sum(o.next_offset - o.start_offset), 0)::bigint,
       coalesce(sum(greatest(b.end_offset - o.next_offset, 0)), 0)::bigint,
       coalesce(sum(b.per_second), 0)::bigint,
       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - max(b.time_ms)
FROM lambda.kappa_versions v
LEFT JOIN lambda.kappa_live l ON true
LEFT JOIN lambda.kappa_offsets o ON o.id = v.id
LEFT JOIN lambda.kappa_beats b ON b.id = o.id AND b.partition = o.partition
GROUP BY v.id, l.id, l.previous
ORDER BY v.id;
