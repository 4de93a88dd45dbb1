"""What a terminal is, and how to write on it."""
