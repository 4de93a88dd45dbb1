"""Container images: built, pushed, and found by their digest."""
