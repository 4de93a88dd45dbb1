"""Inference on AWS Batch: what is sent, what it says of its jobs, what became of them."""
