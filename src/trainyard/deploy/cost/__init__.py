"""What an environment costs while it is idle."""
