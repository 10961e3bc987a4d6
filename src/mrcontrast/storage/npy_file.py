"""NumPy files larger than memory, written item by item."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np

from mrcontrast.errors import MrcontrastError, one_line

NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # by some network file systems


class NpyFile:
    """One ``.npy`` file of known shape (N, ...), filled from its first item to its last.

    The space is reserved first, and items go through ordinary writes: on a full disk a memory map
    ends the process with SIGBUS, a write raises OSError.
    """

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self.path, self.dtype, self.shape, self.items = path, dtype, shape, 0
        header = np.lib.format.header_data_from_array_1_0(np.empty(0, dtype))
        self.file = path.open("wb", buffering=0)
        try:
            np.lib.format.write_array_header_1_0(self.file, header | {"shape": shape})
            reserve(self.file.fileno(), path, size_of(dtype, shape))
        except BaseException:
            self.file.close()
            raise

    def append(self, items: np.ndarray) -> None:
        """Write the next items, (n, ...); a full disk is OSError, another shape ValueError."""
        end = self.items + len(items)
        if items.shape[1:] != self.shape[1:] or end > self.shape[0]:
            raise ValueError(f"items {items.shape} at {self.items} of {self.shape}")
        left = memoryview(items.astype(self.dtype, copy=False).tobytes())
        while left:  # a write to a disk that fills up may take a part
            left = left[self.file.write(left) :]
        self.items = end

    def finish(self) -> None:
        """Wait until the file is on the disk; raise OSError if the disk is full."""
        os.fsync(self.file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


def size_of(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Return the bytes that an array takes, without its header."""
    return int(np.prod(shape, dtype=object)) * dtype.itemsize


def reserve(descriptor: int, path: Path, size_bytes: int) -> None:
    """Reserve space at the end of an open file, or check that it fits; raise OSError if not."""
    if size_bytes == 0:
        return
    try:
        os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, size_bytes)
    except (AttributeError, OSError) as error:  # macOS and Windows have no such call
        if isinstance(error, OSError) and error.errno not in NOT_SUPPORTED:
            raise
        if shutil.disk_usage(path.parent).free < size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None


@contextmanager
def needing(size_bytes: int, folder: Path, advice: str = "Free some space.") -> Iterator[None]:
    """Turn an OSError of a write in the block into an error that names the size and the folder."""
    try:
        yield
    except OSError as error:
        size = f"{size_bytes / 1e9:.3g} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.3g} MB"
        raise MrcontrastError(
            f"Expected {size} of free space, got: {error.strerror or one_line(error)} ({folder}). "
            f"{advice}"
        ) from error
