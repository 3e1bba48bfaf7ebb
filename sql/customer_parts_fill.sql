-- the customers and segments of run $1, of customer_parts; how many events they have
SELECT lambda.run_customers_fill($1::bigint);
