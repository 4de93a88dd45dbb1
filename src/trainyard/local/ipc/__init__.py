"""Between commands and the supervisor: a socket, its messages, its start."""
