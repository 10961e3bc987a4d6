"""Volumes are moved in the world by their affines; nothing is interpolated until ToGrid."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrcontrast.errors import UsageError
from mrcontrast.imaging.itk import check_extra
from mrcontrast.imaging.registration import load_mni152, register_rigid, register_to_mni
from mrcontrast.preparation.operators.contrasts import brain_on, check_contrast, contrast_of
from mrcontrast.preparation.operators.masks import brain_of
from mrcontrast.preparation.subject import RefusedError, Subject
from mrcontrast.storage.volume import Volume


@dataclass(frozen=True)
class Register:
    """Lay one contrast over the other by a rigid motion, found by mutual information.

    Only the affine of the moving volume changes. Masks that came with the pair go with the FLAIR.
    Measures ``register_rotation_deg``, ``register_translation_mm``, ``register_metric_before`` and
    ``register_metric`` (mutual information, nats).

    Attributes:
        moving: "t1w" is moved onto the FLAIR, or "flair" onto the T1w.
        in_brain: Let only the brain of the FLAIR decide; the head does otherwise.
        seed: Of the voxels that are sampled.
    """

    moving: str = "t1w"
    in_brain: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_extra("SimpleITK", type(self).__name__)
        check_contrast(self.moving)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with one volume moved.

        Raises:
            MrcontrastError: The two cannot be laid over each other, or SimpleITK is missing.
        """
        fixed_name = "flair" if self.moving == "t1w" else "t1w"
        fixed, moving = contrast_of(subject, fixed_name), contrast_of(subject, self.moving)
        mask = None
        if self.in_brain:
            mask = brain_on(subject, fixed_name, brain_of(subject))
        found = register_rigid(fixed, moving, fixed_mask=mask, seed=self.seed)
        measures = {
            f"register_{key}": float(f"{value:.5g}") for key, value in found.measures().items()
        }
        moved: dict[str, Any] = {self.moving: _moved(moving, found.matrix)}
        return replace(subject, **moved, measures=subject.measures | measures)


@dataclass(frozen=True)
class ToMni:
    """Lay the brain over MNI152 as one contrast decides; both are moved.

    Attributes:
        rigid: Keep the brain's size and shape (6 parameters); False fits 12.
        contrast: "t1w" or "flair".
        resolution_mm: Voxels of the template, 1 or 2.
        seed: Of the voxels that are sampled.
    """

    rigid: bool = True
    contrast: str = "t1w"
    resolution_mm: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        check_extra("SimpleITK", type(self).__name__)
        check_contrast(self.contrast)
        if self.resolution_mm not in (1, 2):
            raise UsageError(
                f"Expected a template of 1 or 2 mm, got {self.resolution_mm} (ToMni). Change it."
            )

    def __call__(self, subject: Subject) -> Subject:
        """Return the session in MNI152 coordinates; no voxel changes.

        Raises:
            MrcontrastError: There is no mask, or registration fails.
        """
        volume = contrast_of(subject, self.contrast)
        mask = brain_on(subject, self.contrast, brain_of(subject))
        if self.rigid:
            brain = replace(volume, data=np.where(mask, volume.data, 0).astype(np.float32))
            found = register_rigid(load_mni152(self.resolution_mm)[0], brain, seed=self.seed)
        else:
            found = register_to_mni(volume, mask, self.resolution_mm, seed=self.seed)
        scale = 1 / float(np.linalg.det(found.matrix[:3, :3]))
        if found.metric <= found.metric_before or scale <= 0:
            raise RefusedError(
                "Expected a brain that can be laid over MNI152, got a fit that is worse than none. "
                "Look at the brain mask, or leave the scan out.",
                "mni_metric",
                float(f"{found.metric:.5g}"),
                f"> {found.metric_before:.5g}",
            )
        measures = {"mni_metric": float(f"{found.metric:.5g}"), "mni_scale": round(scale, 4)}
        return replace(
            subject,
            flair=_moved(subject.flair, found.matrix),
            t1w=_moved(subject.t1w, found.matrix),
            measures=subject.measures | measures,
        )


def _moved(volume: Volume, matrix: np.ndarray) -> Volume:
    """Return a volume put elsewhere: ``matrix`` (4, 4) leads from new points to old ones."""
    return replace(volume, affine=np.linalg.inv(matrix) @ volume.affine)
