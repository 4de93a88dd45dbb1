"""What jobs need on AWS alone: source, requirements, secrets."""
