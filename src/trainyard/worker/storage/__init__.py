"""Files and archives, here or on S3."""
