-- what is published, in words for people; no row before the first publication
SELECT format('published: run %s as publication %s (%s) since %s%s', p.run, p.publication, n.kind,
              to_char(n.published_at, 'YYYY-MM-DD HH24:MI:SS'),
              CASE WHEN n.kind = 'rollback' THEN '; later runs of the same fold version wait for lambda-batch publish RUN' ELSE '' END)
FROM lambda.published p
JOIN lambda.publications n ON n.publication = p.publication;
