"""This machine: processes, namespaces, mounts, copies, memory."""

MARK = "TRAINYARD_TASK"
"""The variable that marks every process of a task, so that one that left its process group is found."""
