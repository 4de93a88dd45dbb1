"""What every other package speaks of: jobs, runs, environments, files, errors."""
