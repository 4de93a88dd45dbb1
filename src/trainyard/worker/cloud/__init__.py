"""What jobs need on AWS alone: source, secrets."""
