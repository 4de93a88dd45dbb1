"""The errors the worker raises on purpose."""


class InputError(Exception):
    """The user's data or handler breaks the contract, so that a retry cannot help.

    Its text is one line: what is wrong, where, and the cure.
    """


class OutputError(Exception):
    """The parts of a run are not those its shards wrote, or not the rows that were planned.

    One line, as above.
    """
