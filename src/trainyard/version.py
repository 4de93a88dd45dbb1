"""The one place that knows the version: reading it costs no `importlib.metadata`."""

__version__ = "0.1.0"
