"""A job of an inference run on Batch."""
