"""Why a file cannot be read before its content counts: missing, empty, or a link to nothing."""

from pathlib import Path

from mrcontrast.errors import MrcontrastError

ANNEX = "annex/objects"
GET_ANNEX = "Get it with datalad get or git annex get"
LARGEST_POINTER = 1024  # bytes
POINTERS = {
    f"/{ANNEX}/".encode(): ("a pointer of git-annex without its content", GET_ANNEX),
    b"version https://git-lfs": (
        "a pointer of Git LFS without its content",
        "Get it with git lfs pull",
    ),
}


def absence(path: Path) -> tuple[str, str] | None:
    """Return what is found in place of a file with content, and what to do; None if it is there.

    >>> absence(Path("/no/such/file"))
    ('none', 'Check the path')
    """
    try:
        if path.is_symlink() and not path.exists():
            return _link_to_nothing(path)
        if not path.exists():
            return "none", "Check the path"
        if not path.is_file():
            return "a folder" if path.is_dir() else "no regular file", "Check the path"
        return _no_content(path)
    except OSError as error:
        return f"the error: {error.strerror}", "Check the path and its permissions"


def refuse_absent(path: Path, expected: str) -> None:
    """Refuse a path that is no file with content.

    Args:
        path: Of a file to read.
        expected: Kind of file, such as "a NIfTI file".

    Raises:
        MrcontrastError: It is missing, a folder, empty, or a link without its target.
    """
    if (found := absence(path)) is not None:
        raise MrcontrastError(f"Expected {expected}, got {found[0]} ({path}). {found[1]}.")


def _link_to_nothing(path: Path) -> tuple[str, str]:
    """Describe a symbolic link whose target is missing; git-annex makes them."""
    target = str(path.readlink())
    if ANNEX in target:
        return "a link of git-annex without its content", GET_ANNEX
    return f"a link to a missing file, {target}", "Restore that file"


def _no_content(path: Path) -> tuple[str, str] | None:
    """Describe a file that is empty or stands for another one."""
    size = path.stat().st_size
    if size == 0:
        return "an empty file", "Copy it again"
    if size > LARGEST_POINTER:
        return None
    with path.open("rb") as file:
        start = file.read(64)
    return next((found for mark, found in POINTERS.items() if start.startswith(mark)), None)
