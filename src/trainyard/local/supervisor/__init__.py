"""The one process of a home that starts tasks and sees them end."""
