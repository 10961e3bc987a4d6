"""Dictionary transforms of MONAI as operators of a recipe."""

import hashlib
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrcontrast.data.record import MASKS
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.subject import Operator, Subject
from mrcontrast.storage.identity import identity
from mrcontrast.storage.volume import Volume


@dataclass(frozen=True, repr=False)
class MonaiTransform:
    """Apply a ``monai.transforms.MapTransform`` to the images and masks that its keys name.

    Keys are contrasts, "brain_mask", "lesion_mask" and "labels"; a mask that a session lacks is
    skipped. Arrays are MetaTensors (1, X, Y, Z), float32, whose affine is read back. A random
    transform depends on the recipe's seed, the session's name and its place among the operators.
    """

    transform: Any
    seed: int = 0
    place: int = 0

    def __repr__(self) -> str:
        name = type(self.transform).__name__
        return f"{name} {identity(self.transform)}, seed={self.seed}, place={self.place}"

    def __call__(self, subject: Subject) -> Subject:
        """Return the transformed session, or raise MrcontrastError if the result is no session.

        That is: several channels, labels that are no whole numbers, or masks on another grid.
        """
        import torch
        from monai.data import MetaTensor

        arrays = {name: (volume.data, volume.affine) for name, volume in subject.images.items()}
        for name in MASKS:
            if (data := getattr(subject, name)) is not None:
                arrays[name] = (data, subject.like.affine)
        transform = self._seeded(subject, arrays)
        done = transform(
            {
                name: MetaTensor(np.array(data[None], np.float32), affine=torch.tensor(affine))
                for name, (data, affine) in arrays.items()
            }
        )
        volumes = {name: self._volume(name, done[name], arrays[name][1]) for name in arrays}
        masks = {name: volumes.pop(name) for name in MASKS if name in volumes}
        changed = replace(subject, images=volumes)
        for name, mask in masks.items():
            same = mask.shape == changed.like.shape
            if not same or not np.allclose(mask.affine, changed.like.affine, atol=1e-4):
                raise self._fault(f"the {name} on the grid of {changed.reference}", "another", name)
            if name == "labels" and not np.array_equal(mask.data, np.rint(mask.data)):
                raise self._fault("labels of whole numbers", "fractions; set mode: nearest", name)
            whole = mask.data.astype(np.uint8) if name == "labels" else mask.data > 0.5
            setattr(changed, name, whole)
        return changed

    def _seeded(self, subject: Subject, arrays: Mapping[str, Any]) -> Any:  # noqa: ANN401 - MONAI
        """Return a copy of the transform, seeded for one session."""
        from monai.transforms import Randomizable

        transform = deepcopy(self.transform)
        for key in transform.keys:
            if key not in MASKS:
                subject.image(key)
        transform.allow_missing_keys |= not set(transform.keys) <= set(arrays)
        if isinstance(transform, Randomizable):
            text = f"{self.seed} {self.place} {subject.name}"
            digest = hashlib.sha256(text.encode()).digest()
            transform.set_random_state(seed=int.from_bytes(digest[:4], "big"))
        return transform

    def _volume(self, name: str, result: Any, affine: np.ndarray) -> Volume:  # noqa: ANN401 - MONAI
        """Return one result as a volume; a plain array keeps its affine."""
        from monai.utils import convert_to_numpy

        data = np.asarray(convert_to_numpy(result), np.float32)
        if data.ndim != 4 or len(data) != 1 or getattr(result, "pending_operations", None):
            raise self._fault("one channel of three axes, not lazy", f"shape {data.shape}", name)
        placed = convert_to_numpy(getattr(result, "affine", affine))
        return Volume(np.ascontiguousarray(data[0]), np.asarray(placed, np.float64))

    def _fault(self, expected: str, got: str, name: str) -> MrcontrastError:
        step = type(self.transform).__name__
        return MrcontrastError(
            f"Expected {expected} after {step}, got {got} ({name}). Change its keys or settings."
        )


def as_operator(operator: Any, seed: int, place: int) -> Operator:  # noqa: ANN401 - any operator
    """Wrap a dictionary transform of MONAI; any other operator is returned as it is."""
    monai = sys.modules.get("monai.transforms")  # an object of its classes implies its import
    if monai is not None and isinstance(operator, monai.MapTransform):
        return MonaiTransform(operator, seed, place)
    return operator
