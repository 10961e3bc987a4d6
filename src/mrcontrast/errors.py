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


def may_pass(cause: BaseException | None) -> bool:
    """Return whether the same may succeed later: memory was short, or a disk did not answer.

    A damaged file does not mend itself (such errors carry no number of the operating system), and
    neither does a right that is missing.

    >>> may_pass(MemoryError()), may_pass(OSError(5, "I/O error")), may_pass(OSError("cut short"))
    (True, True, False)
    """
    if isinstance(cause, OSError):
        return cause.errno is not None and not isinstance(cause, PermissionError)
    return isinstance(cause, MemoryError)
