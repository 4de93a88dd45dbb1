"""What moves between the buckets and a job's folders."""
