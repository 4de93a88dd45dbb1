"""The server on loopback, its gate, and what it starts with."""
