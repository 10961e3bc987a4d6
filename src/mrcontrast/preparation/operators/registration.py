"""Registration: affines change, and nothing is interpolated until ToGrid."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import UsageError
from mrcontrast.imaging.itk import check_extra
from mrcontrast.imaging.registration import load_mni152, register_affine, register_rigid
from mrcontrast.preparation.subject import RefusedError, Subject, prefixed
from mrcontrast.storage.volume import Volume


@dataclass(frozen=True)
class Register:
    """Register each contrast to one by a rigid motion, found by mutual information.

    Only the affine of a moving volume changes. Masks that came with the session move with the
    reference. Measures ``register_rotation_deg``, ``register_translation_mm``,
    ``register_metric_before`` and ``register_metric`` (mutual information, nats); with more than
    two contrasts ``register_t2w_...``.

    Attributes:
        fixed: Contrast that stays; None: the reference.
        seed: Seed of the sampled voxels.
    """

    fixed: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_extra("SimpleITK", type(self).__name__)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with all contrasts but one moved."""
        name = self.fixed or subject.reference
        fixed = subject.image(name)
        images, measures = dict(subject.images), dict(subject.measures)
        for moving, volume in subject.images.items():
            if moving == name:
                continue
            found = register_rigid(fixed, volume, seed=self.seed)
            measures |= prefixed("register", moving, subject, found.measures(), digits=5)
            images[moving] = _moved(volume, found.matrix)
        return replace(subject, images=images, measures=measures)


@dataclass(frozen=True)
class ToMni:
    """Register one contrast to MNI152 and move all contrasts alike.

    Attributes:
        rigid: Keep the brain's size and shape (6 parameters); False fits 12.
        contrast: Contrast that is registered.
        resolution_mm: Voxel size of the template, 1 or 2.
        seed: Seed of the sampled voxels.
    """

    rigid: bool = True
    contrast: str = "t1w"
    resolution_mm: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        check_extra("SimpleITK", type(self).__name__)
        if self.resolution_mm not in (1, 2):
            raise UsageError(
                f"Expected a template of 1 or 2 mm, got {self.resolution_mm} (ToMni). Change it."
            )

    def __call__(self, subject: Subject) -> Subject:
        """Return the session in MNI152 coordinates; no voxel changes."""
        volume, mask = subject.image(self.contrast), subject.brain_on(self.contrast)
        brain = replace(volume, data=np.where(mask, volume.data, 0).astype(np.float32))
        register = register_rigid if self.rigid else register_affine
        found = register(load_mni152(self.resolution_mm), brain, seed=self.seed)
        scale = 1 / float(np.linalg.det(found.matrix[:3, :3]))
        if found.metric <= found.metric_before or scale <= 0:
            raise RefusedError(
                "Expected a brain that can be registered to MNI152, got a fit worse than none. "
                "Look at the brain mask, or leave the scan out.",
                "mni_metric",
                float(f"{found.metric:.5g}"),
                f"> {found.metric_before:.5g}",
            )
        measures = {"mni_metric": float(f"{found.metric:.5g}"), "mni_scale": round(scale, 4)}
        images = {name: _moved(image, found.matrix) for name, image in subject.images.items()}
        return replace(subject, images=images, measures=subject.measures | measures)


def _moved(volume: Volume, matrix: np.ndarray) -> Volume:
    """Return a volume at another place: ``matrix`` (4, 4) maps new points to old ones."""
    return replace(volume, affine=np.linalg.inv(matrix) @ volume.affine)
