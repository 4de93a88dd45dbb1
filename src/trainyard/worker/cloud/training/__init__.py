"""A host of a training job on SageMaker."""
