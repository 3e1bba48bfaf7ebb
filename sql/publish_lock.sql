-- nobody else publishes until the end of this transaction; readers do not notice
LOCK TABLE lambda.published IN SHARE ROW EXCLUSIVE MODE;
