"""What the local yard remembers: SQLite, and a journal in each run folder."""
