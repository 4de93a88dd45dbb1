"""What happened: runs, their attempts, metrics and outcomes."""
