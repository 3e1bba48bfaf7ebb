-- what is published, times in ms since 1970; no row before the first publication
SELECT p.publication, p.run, n.kind,
       floor(extract(epoch FROM n.published_at) * 1000)::bigint,
       floor(extract(epoch FROM r.cut_time) * 1000)::bigint,
       r.truncated, r.counted, r.time_zone,
       floor(extract(epoch FROM r.customers_from) * 1000)::bigint,
       (SELECT b.run FROM lambda.publications b WHERE b.publication = p.publication - 1 AND n.kind = 'rollback'),
       r.lost, coalesce(r.replay_of, 0)
FROM lambda.published p
JOIN lambda.publications n ON n.publication = p.publication
JOIN lambda.runs r ON r.run = p.run;
