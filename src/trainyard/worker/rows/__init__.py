"""Rows of CSV, JSON Lines and Parquet: read, split, written, counted."""
