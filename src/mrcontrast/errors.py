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


def one_line(error: BaseException, most: int | None = None) -> str:
    """Return the message of an error on one line, cut to ``most`` characters.

    >>> one_line(ValueError("cut    short"))
    'cut short'
    """
    return " ".join(str(error).split())[:most]


def printable(text: str) -> str:
    r"""Return text that any UTF-8 terminal takes: bytes of a file name that are none are escaped.

    >>> printable("sub-01 \udcff")
    'sub-01 \\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def with_cause(error: BaseException) -> str:
    """Return the message of an error, and of its cause if it has one, on one line.

    >>> error = ValueError("no volume")
    >>> error.__cause__ = OSError("cut short")
    >>> with_cause(error)
    'no volume (cut short)'
    """
    text = one_line(error)
    return text if error.__cause__ is None else f"{text} ({one_line(error.__cause__)})"


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
