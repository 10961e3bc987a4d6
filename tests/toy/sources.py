"""Sources whose sessions take their time, break or kill their worker; workers can import them."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcontrast.preparation.session import Dropped, Entry, Remark
from mrcontrast.preparation.subject import Subject
from preparation_files import raw_volume


@dataclass(frozen=True)
class ToyPair:
    """A made pair; what is wrong with it depends on its manner."""

    seed: int
    manner: str = "good"
    marks: str = ""  # folder in which each attempt leaves a file

    def load(self) -> Subject:
        if self.marks:
            (Path(self.marks) / f"{self.seed}-{os.getpid()}-{time.time_ns()}").touch()
        if self.manner == "slow":
            time.sleep(0.4)
        if self.manner == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.manner == "broken":
            raise RuntimeError("a bug")
        return Subject({"flair": raw_volume(self.seed, 300), "t1w": raw_volume(self.seed + 1, 900)})

    @property
    def files(self) -> dict[str, Path]:
        return {}

    def identity(self) -> Any:
        return [self.seed]


@dataclass(frozen=True)
class ToySource:
    """Sessions of the given manners, in order."""

    manners: tuple[str, ...]
    marks: str = ""
    remarks: tuple[Remark, ...] = ()

    @property
    def folders(self) -> list[str]:
        return []

    @property
    def wanted(self) -> str:
        return "toys"

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        return [
            Entry(f"sub-{i:02d}", None, "toys", f"toy {i}", ToyPair(2 * i, manner, self.marks))
            for i, manner in enumerate(self.manners)
        ], []
