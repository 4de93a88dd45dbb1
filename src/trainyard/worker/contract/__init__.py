"""SageMaker's container contract: folders, files, variables, arguments."""
