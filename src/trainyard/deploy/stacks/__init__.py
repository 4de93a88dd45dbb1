"""CloudFormation: change sets, events, and why something failed."""
