"""One process of a run: its environment, start, log and end."""
