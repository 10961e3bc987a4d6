"""The data of the viewer in the page: volumes as text, and positions to start from."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from mrcontrast.data.contrasts import title_of
from mrcontrast.report.colours import stops
from mrcontrast.report.embedding import Embedded, embed
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.figure import ERROR_SHARE
from mrcontrast.report.sessions import Images
from mrcontrast.storage.volume import Volume

PEAK_VOXELS = 5  # width of the cube over which an error is averaged before its largest is sought


@dataclass
class Viewer:
    """The sessions that a page holds, gathered one by one.

    Attributes:
        window: Intensities shown as black and white.
        max_megabytes: Of all volumes as text.
        max_sessions: Most sessions.
        sessions: What the script reads, one dict each.
        volumes: All volumes, by the name that a session calls them.
    """

    window: tuple[float, float]
    max_megabytes: float
    max_sessions: int
    sessions: list[dict[str, Any]] = field(default_factory=list)
    volumes: dict[str, Embedded] = field(default_factory=dict)
    full: bool = False

    @property
    def megabytes(self) -> float:
        """Size of all volumes as text, in MB."""
        return sum(volume.megabytes for volume in self.volumes.values())

    @property
    def width(self) -> float:
        """Width of the window."""
        return self.window[1] - self.window[0]

    @property
    def error(self) -> float:
        """Error with the last colour, in the units of the scores."""
        return ERROR_SHARE * self.width

    def add(self, name: str, images: Images, values: dict[str, str]) -> bool:
        """Take a session in if there is room for it; after the first that does not fit, none.

        Args:
            name: Of the session.
            images: Its volumes.
            values: Its ranking metric by method, as text.
        """
        self.full = self.full or len(self.sessions) >= self.max_sessions
        if self.full:
            return False
        volumes = self._embed(f"s{len(self.sessions)}", images)
        size = sum(volume.megabytes for volume in volumes.values())
        self.full = self.megabytes + size > self.max_megabytes
        if not self.full:
            self.sessions.append(self._describe(name, images, values))
            self.volumes |= volumes
        return not self.full

    def payload(self, evaluation: Evaluation, method: str) -> dict[str, Any]:
        """Return what the page's script reads, as JSON can hold it."""
        kinds = ("image", "error", "spread")
        return {
            "sessions": self.sessions,
            "methods": evaluation.methods,
            "method": method,
            "window": list(self.window),
            "error": self.error,
            "colours": {kind: stops(kind) for kind in kinds},
            "sources": {name: title_of(name) for s in self.sessions for name in s["sources"]},
            "target": title_of(evaluation.target),
            "hasSpread": any(name.endswith("-spread") for name in self.volumes),
        }

    def _embed(self, key: str, images: Images) -> dict[str, Embedded]:
        """Return the volumes of one session as text, by name."""
        found = {f"{key}-real": embed(images.real, self.width)}
        for name, volume in images.sources.items():
            found[f"{key}-source-{name}"] = embed(volume, 1.0)
        for number, (method, volume) in enumerate(images.synthetic.items()):
            found[f"{key}-{number}"] = embed(volume, self.width)
            if method in images.spread:
                spread = images.spread[method]
                found[f"{key}-{number}-spread"] = embed(spread, self.width / 2)
        return found

    def _describe(self, name: str, images: Images, values: dict[str, str]) -> dict[str, Any]:
        """Return names of volumes and places of one session."""
        key = f"s{len(self.sessions)}"
        methods = {
            method: {
                "synthetic": f"{key}-{number}",
                "spread": f"{key}-{number}-spread" if method in images.spread else None,
                "figure": values.get(method, ""),
                "peak": largest_error_mm(images, method),
            }
            for number, method in enumerate(images.synthetic)
        }
        return {
            "name": name,
            "real": f"{key}-real",
            "sources": {name: f"{key}-source-{name}" for name in images.sources},
            "centre": _to_mm(images.real, ndimage.center_of_mass(images.mask)),
            "extent": _extent_mm(images.real, images.mask),
            "methods": methods,
        }


def largest_error_mm(images: Images, method: str) -> list[float]:
    """Return where the error, averaged over 5 x 5 x 5 voxels, is largest in the brain (mm, RAS)."""
    error = np.abs(images.synthetic[method].data - images.real.data)
    smooth = ndimage.uniform_filter(error, PEAK_VOXELS) * images.mask
    return _to_mm(images.real, np.unravel_index(int(smooth.argmax()), smooth.shape))


def _to_mm(volume: Volume, voxel: Any) -> list[float]:  # noqa: ANN401 - three numbers of any kind
    """Return the world coordinates of a voxel (mm, RAS)."""
    place = volume.affine[:3, :3] @ np.asarray(voxel, float) + volume.affine[:3, 3]
    return [round(float(value), 1) for value in place]


def _extent_mm(volume: Volume, mask: np.ndarray) -> list[list[float]]:
    """Return the lowest and highest coordinate of the brain along each axis (mm, RAS)."""
    corners = np.argwhere(mask) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return [
        [float(low), float(high)]
        for low, high in zip(np.floor(corners.min(0)), np.ceil(corners.max(0)), strict=True)
    ]
