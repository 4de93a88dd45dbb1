"""What to run: jobs, their limits, and the job file they are read from."""
