"""What the whole sandbox shares: its services, clock and logs."""
