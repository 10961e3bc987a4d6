"""The two errors that a user can cause, each with its exit code.

A message reads "Expected <what>, got <what> (<file or subject>). <what to do>." on one line;
the command line prints it without a traceback.
"""


class MrcontrastError(Exception):
    """A fault of the data or of a run; the command ends with exit code 1."""

    exit_code = 1


class UsageError(MrcontrastError):
    """A fault in what was typed or configured; the command ends with exit code 2."""

    exit_code = 2
