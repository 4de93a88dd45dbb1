"""Training on SageMaker: what is sent, what it says of its jobs, what became of them."""
