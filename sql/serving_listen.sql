-- told at every publication
LISTEN lambda_published;
