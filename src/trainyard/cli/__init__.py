"""The command line: one file a noun, a thin shell over `Yard`. Parse, call, print."""
