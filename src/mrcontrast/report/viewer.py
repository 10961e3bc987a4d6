"""The data of the viewer in the page: volumes as text, and positions to start from."""

import base64
import gzip
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from scipy import ndimage

from mrcontrast.data.contrasts import title_of
from mrcontrast.report.colours import stops
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.figure import ERROR_SHARE
from mrcontrast.report.sessions import Images
from mrcontrast.storage.volume import Volume

FINEST_SHARE = 1 / 125  # of the window: a coarser step than this takes 16 bits
PEAK_VOXELS = 5  # width of the cube over which an error is averaged before its largest is sought


class Embedded(NamedTuple):
    """One volume as a page holds it.

    ``text`` is base64 of a gzipped NIfTI file whose header scales whole numbers of 8 or 16 ``bits``
    back; ``step`` is the distance of neighbouring grey levels, in the units of the volume.
    """

    text: str
    bits: int
    step: float

    @property
    def megabytes(self) -> float:
        """Size in the page, in MB (10^6 bytes)."""
        return len(self.text) / 1e6


def embed(volume: Volume, width: float) -> Embedded:
    """Return a finite volume for a page; all its values are kept, each to half a step.

    Smallest to largest value are spread over the whole numbers of 8 bits. Where some voxels lie so
    far out that this would leave fewer than 125 steps in the window, 16 bits are used. ``width`` is
    that of the window that the volume is shown in, > 0.
    """
    extent = float(np.ptp(volume.data))
    bits = 8 if extent / 255 <= FINEST_SHARE * width else 16
    image = nib.Nifti1Image(np.asarray(volume.data, np.float32), volume.affine)
    image.set_data_dtype(np.uint8 if bits == 8 else np.int16)
    image.header.set_xyzt_units("mm")
    packed = gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
    return Embedded(base64.b64encode(packed).decode("ascii"), bits, extent / (2**bits - 1))


@dataclass
class Viewer:
    """The sessions that a page holds, gathered one by one."""

    window: tuple[float, float]  # intensities shown as black and white
    max_megabytes: float  # of all volumes as text
    max_sessions: int
    sessions: list[dict[str, Any]] = field(default_factory=list)  # what the script reads
    volumes: dict[str, Embedded] = field(default_factory=dict)  # by the name that a session uses
    full: bool = False  # a session did not fit

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

    def add(self, name: str, images: Images, values: dict[str, str]) -> None:
        """Take a session in if there is room for it; after the first that does not fit, none.

        ``values`` is its ranking metric by method, as text.
        """
        self.full = self.full or len(self.sessions) >= self.max_sessions
        if self.full:
            return
        key = f"s{len(self.sessions)}"
        volumes = self._embed(key, images)
        size = sum(volume.megabytes for volume in volumes.values())
        self.full = self.megabytes + size > self.max_megabytes
        if not self.full:
            self.sessions.append(_describe(key, name, images, values))
            self.volumes |= volumes

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


def _describe(key: str, name: str, images: Images, values: dict[str, str]) -> dict[str, Any]:
    """Return names of volumes and places of one session."""
    place = images.real.affine
    corners = np.argwhere(images.mask) @ place[:3, :3].T + place[:3, 3]
    extent = np.stack([np.floor(corners.min(0)), np.ceil(corners.max(0))], axis=1)
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
        "extent": extent.tolist(),
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
