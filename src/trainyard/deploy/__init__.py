"""Two stacks of CloudFormation: compared, applied, followed, and taken down."""
