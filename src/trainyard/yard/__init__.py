"""The SDK: yards, runs, the catalogue, and the source that a job takes along."""
