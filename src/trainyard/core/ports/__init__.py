"""What the rest expects of an engine, a ledger and a store."""
