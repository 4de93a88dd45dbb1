"""What lies in the buckets: the ledger, data sets, models, code, and how it gets there."""
