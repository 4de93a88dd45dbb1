"""SageMaker training jobs: their operations, and jobs that really run."""
