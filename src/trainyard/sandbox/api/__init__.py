"""AWS's protocols: requests parsed, checked against botocore's models, answered."""
