-- what the threads of a run have added up, each for itself
CREATE TEMPORARY TABLE customer_parts (
    customer_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    gross_e4 bigint NOT NULL,
    refunds_e4 bigint NOT NULL,
    orders bigint NOT NULL,
    refund_count bigint NOT NULL,
    first_minute bigint NOT NULL,
    last_minute bigint NOT NULL
) ON COMMIT DROP;
