"""This machine: processes, namespaces, mounts, copies, memory."""
