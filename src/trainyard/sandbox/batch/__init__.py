"""AWS Batch: its operations, queues and scheduler, and jobs that really run."""
