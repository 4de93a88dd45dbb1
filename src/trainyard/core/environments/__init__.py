"""What can be deployed in an AWS account, and its limits."""
