"""Where one is in AWS: the session, a deployment and its facts, names, errors."""
