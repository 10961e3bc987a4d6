"""The two errors of users' input, each with its exit code.

A message is one line, "Expected <what>, got <what> (<file or subject>). <what to do>.", which the
command line prints without a traceback.
"""


class MrcontrastError(Exception):
    """A fault of the data or of a run; the command ends with exit code 1."""

    exit_code = 1


class UsageError(MrcontrastError):
    """A fault of the command line or the config; the command ends with exit code 2."""

    exit_code = 2


def one_line(error: BaseException, most: int | None = None) -> str:
    """Return the message of an error on one line, cut to ``most`` characters.

    >>> one_line(ValueError("cut    short"))
    'cut short'
    """
    return " ".join(str(error).split())[:most]


def printable(text: str) -> str:
    r"""Return text with bytes escaped that are not UTF-8, as in some file names.

    >>> printable("sub-01 \udcff")
    'sub-01 \\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def with_cause(error: BaseException) -> str:
    """Return the messages of an error and of its cause on one line.

    >>> error = ValueError("no volume")
    >>> error.__cause__ = OSError("cut short")
    >>> with_cause(error)
    'no volume (cut short)'
    """
    text = one_line(error)
    return text if error.__cause__ is None else f"{text} ({one_line(error.__cause__)})"


def may_pass(cause: BaseException | None) -> bool:
    """Return whether a retry may succeed: after a lack of memory or an error of a disk.

    It may not for damaged files, whose errors have no number, and missing permissions.

    >>> may_pass(MemoryError()), may_pass(OSError(5, "I/O error")), may_pass(OSError("cut short"))
    (True, True, False)
    """
    if isinstance(cause, OSError):
        return cause.errno is not None and not isinstance(cause, PermissionError)
    return isinstance(cause, MemoryError)
