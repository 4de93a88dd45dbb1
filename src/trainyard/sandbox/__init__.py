"""AWS on this machine: moto for its surface, and jobs that really run."""
