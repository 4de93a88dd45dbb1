"""Policies as they are deployed, put to an evaluator of IAM that was not written here."""
