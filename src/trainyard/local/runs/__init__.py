"""What a run is to the supervisor: its tasks, and what their ends mean for it."""
