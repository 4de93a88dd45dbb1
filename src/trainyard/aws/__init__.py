"""AWS as trainyard sees it; `session` is the one module that knows botocore."""
