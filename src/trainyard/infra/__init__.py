"""The account side: an `Environment` -> two CloudFormation templates, by the AWS CDK (extra `[deploy]`)."""
