"""Memory of this machine and process, as Linux reports it."""

import os
import resource
from pathlib import Path

UNKNOWN = 2**62  # bytes, where nothing is reported


def free_memory() -> int:
    """Return the bytes that this process can still allocate, by Linux and all limits."""
    free = [UNKNOWN]
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free.append(int(lines["MemAvailable"].split()[0]) * 1024)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and (text := limit.read_text().strip()).isdecimal():
        free.append(int(text) - int(used.read_text()))
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        free.append(address_space - _pages(0))
    return max(0, min(free))


def held_memory() -> int:
    """Return the bytes of this process that are in memory; 0 where nothing is reported."""
    return _pages(1)


def _pages(column: int) -> int:
    """Return a column of /proc/self/statm in bytes: 0 is address space, 1 is in memory."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[column]) * os.sysconf("SC_PAGE_SIZE")
