"""Inference: plan, shards, commit, and the handler of the user."""
