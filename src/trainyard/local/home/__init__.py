"""The home's files: run folders, logs, data sets, models, output."""
