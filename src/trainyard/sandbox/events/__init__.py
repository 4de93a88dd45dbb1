"""EventBridge and SNS: rules, transforms, topics."""
