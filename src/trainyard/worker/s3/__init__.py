"""S3 with the standard library: signed, tried again, read in parts."""
