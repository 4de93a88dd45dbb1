"""Files of users: job files, trees with a content hash, archives, caches."""
