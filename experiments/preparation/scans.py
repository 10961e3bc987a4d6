"""Real scans for these experiments: raw with the authors' results, and in MNI space."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrcontrast.imaging.itk import LPS
from mrcontrast.imaging.registration import load_mni152, register_affine
from mrcontrast.storage.volume import Volume, read_mask, read_volume
from mrcontrast.transforms.brain import mask_from_nonzero
from mrcontrast.transforms.grid import resample_to


@dataclass(frozen=True)
class RawSession:
    """A raw session with skull.

    Attributes:
        name: Name, such as "sub-01_ses-1".
        flair: FLAIR, slices of 3-4 mm.
        t1w: T1w on its own grid.
        brain: The authors' mask, (X, Y, Z), bool, on the FLAIR.
        to_t1w: The authors' affine (4, 4), points of the FLAIR to points of the T1w, RAS in mm.
    """

    name: str
    flair: Volume
    t1w: Volume
    brain: np.ndarray
    to_t1w: np.ndarray


@dataclass(frozen=True)
class Brain:
    """A pair in MNI space, with or without skull, and its brain mask on the FLAIR."""

    name: str
    flair: Volume
    t1w: Volume
    brain: np.ndarray


def raw_sessions(data: Path) -> Iterator[RawSession]:
    """Yield the sessions of ``openms-raw``."""
    root = data / "openms-raw"
    for anat in sorted(root.glob("sub-*/ses-*/anat")):
        subject, session = anat.parts[-3:-1]
        stem = f"{subject}_{session}"
        flair = read_volume(anat / f"{stem}_FLAIR.nii.gz")
        masks = root / "derivatives" / "masks" / subject / session
        transforms = root / "derivatives" / "registration" / subject / session
        yield RawSession(
            stem,
            flair,
            read_volume(anat / f"{stem}_T1w.nii.gz"),
            read_mask(masks / f"{stem}_space-FLAIR_desc-brain_mask.nii.gz", flair),
            read_transform(transforms / f"{stem}_from-FLAIR_to-T1w_mode-points_xfm.txt"),
        )


def brains(data: Path) -> Iterator[Brain]:
    """Yield the pairs of ``openms-mni`` and ``mslesseg-mni``."""
    for folder in ("openms-mni", "mslesseg-mni"):
        for anat in sorted((data / folder).glob("sub-*/anat")):
            stem = f"{anat / anat.parent.name}_space-MNI152"
            flair = read_volume(f"{stem}_FLAIR.nii.gz")
            given = Path(f"{stem}_desc-brain_mask.nii.gz")
            brain = read_mask(given, flair) if given.is_file() else mask_from_nonzero(flair)
            yield Brain(anat.parent.name, flair, read_volume(f"{stem}_T1w.nii.gz"), brain)


def in_mni(session: RawSession) -> Brain:
    """Align a session to the template by its affines, without interpolation."""
    t1w = Volume(session.t1w.data, np.linalg.inv(session.to_t1w) @ session.t1w.affine)
    on_flair = Volume(
        resample_to(t1w, session.flair.affine, session.flair.shape), session.flair.affine
    )
    brain = replace(on_flair, data=np.where(session.brain, on_flair.data, 0).astype(np.float32))
    back = np.linalg.inv(register_affine(load_mni152(2), brain).matrix)
    volumes = (Volume(volume.data, back @ volume.affine) for volume in (session.flair, t1w))
    return Brain(session.name, *volumes, session.brain)


def read_transform(path: Path) -> np.ndarray:
    """Read an affine in ITK's text format as (4, 4) between RAS points in mm."""
    text = path.read_text(encoding="utf-8")
    found = [
        re.search(rf"^{name}: (.*)$", text, re.M) for name in ("Parameters", "FixedParameters")
    ]
    values, centre = (np.array([float(v) for v in f.group(1).split()]) for f in found if f)
    matrix = np.eye(4)
    matrix[:3, :3] = values[:9].reshape(3, 3)
    matrix[:3, 3] = values[9:] + centre - matrix[:3, :3] @ centre
    return LPS @ matrix @ LPS
