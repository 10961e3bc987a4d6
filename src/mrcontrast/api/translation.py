"""Load a model, and translate images with it."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

import nibabel as nib
import numpy as np

from mrcontrast.api.images import MASK, Image, as_files, as_volume
from mrcontrast.data.predictions import ENDINGS, Existing, PredictionFiles
from mrcontrast.errors import UsageError
from mrcontrast.inference.files import facts_of, made_by, translate_job
from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.options import check_options, name_files
from mrcontrast.inference.sampling_options import (
    UNSHUFFLED,
    ControlChoice,
    SamplingKeys,
    SamplingOptions,
    check_values,
)
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.inference.translation_jobs import Job, check_collisions, file_job
from mrcontrast.runs.released import check_runs_exist, released_models
from mrcontrast.storage.nifti import open_nifti
from mrcontrast.storage.volume import to_image


def models() -> list[str]:
    """Return the names of the released models; each also has a U-Net, ``NAME/unet``.

    >>> models()
    ['phantom-2d', 'phantom-2d-1mm', 'phantom-3d']
    """
    return released_models()


def load(
    model: str | PathLike[str], *, device: str = "auto", **options: Unpack[SamplingKeys]
) -> "Translator":
    """Load a trained model; the options are those of ``mrcontrast translate``.

    Args:
        model: Name of a released model, a run folder, ``runs:/ID`` or ``models:/NAME@ALIAS``.
        device: "auto", "cpu", "cuda" or "cuda:N".
        options: Fields of ``SamplingOptions``: ``samples`` to average, of which 2 or more also give
            a standard deviation; ``steps``, ``sampler``, ``start``, ``temperature``, ``seed``,
            ``prompt``, ``negative``, ``guidance``, ...

    Raises UsageError for a model or option that does not exist or fit, MrcontrastError for a run
    that is unfinished or changed.

    >>> load("phantom-2d/unet").source
    ('flair',)
    """
    values: dict[str, Any] = {"temperature": None, **options}
    check_values(values)
    sampling = SamplingOptions(**values)
    if sampling.known_tags == "shuffled":
        raise UsageError(UNSHUFFLED)
    check_options(Namespace(batch_size=1, steps=sampling.steps, seed=sampling.seed, device=device))
    check_runs_exist({"model": str(model)})
    for text in sampling.control:
        check_runs_exist({"control": ControlChoice.from_text(text).run})
    return Translator(from_run(str(model), sampling, device=device), sampling.seed)


class Translator:
    """A loaded model; call it with the images of one subject.

    It reads the contrasts ``source`` and makes the contrast ``target``.

    >>> from mrcontrast import make_phantom
    >>> flair = make_phantom(seed=1, contrasts=["flair"], spacing_mm=6.0).images["flair"]
    >>> result = load("phantom-2d/unet")(flair)
    >>> result.image.shape, result.std is None
    ((30, 36, 32), True)
    """

    def __init__(self, inner: StageTranslator, seed: int) -> None:
        self.inner, self.seed = inner, seed
        self.source, self.target = tuple(inner.source), inner.target

    def __call__(
        self,
        image: "Image | Mapping[str, Image]",
        *,
        affine: np.ndarray | None = None,
        mask: "Image | None" = None,
    ) -> "Translation":
        """Translate the images of one subject.

        Args:
            image: A file, a nibabel image or an array (X, Y, Z), in any orientation and unit; for
                a model of several sources a dict of one for each contrast, all on one grid;
                optional ones may be left out.
            affine: (4, 4), from voxels to RAS in mm; needed where all images are arrays.
            mask: Brain mask, in the forms of ``image``; None takes ``*_desc-brain_mask`` next to a
                file, else the largest non-zero component.

        Raises UsageError for images other than ``source`` or an array without affine,
        MrcontrastError for an unreadable image or mask, or no brain.
        """
        given_by_name = image if isinstance(image, Mapping) else {self.source[0]: image}
        images = {name: each for name, each in given_by_name.items() if each is not None}
        given = images if mask is None else {**images, MASK: mask}
        with as_files(given, affine) as files:
            brain_mask = files.pop(MASK, None)
            named = name_files(Namespace(source=files), self.source, self.inner.optional)
            sources = {name: named[name] for name in self.inner.reads if name in named}
            job = file_job(sources, self.target, Path("out.nii.gz"), brain_mask, self.seed)
            facts = facts_of(job, self.inner)
            found = translate_job(job, self.inner)
            like = open_nifti(job.source)
        paths = [path for path in job.inputs if path.exists()]  # others were in memory
        made = made_by(job, self.inner, found) | {"Sources": [str(path) for path in paths]}
        if job.mask is not None and job.mask not in paths:
            made["BrainMask"] = "a mask in memory"
        std, affine, brain = found.std, found.mean.affine, found.brain
        assert brain is not None
        return Translation(
            to_image(found.mean.data, affine, like),
            None if std is None else to_image(std.data, affine, like),
            to_image(brain.astype(np.uint8), affine, like),
            found.remarks,
            facts,
            made,
            tuple(paths),
        )


@dataclass(frozen=True)
class Translation:
    """A synthetic image on the grid of its input.

    Attributes:
        image: Mean of the samples, in [0, 1], 0 outside the brain.
        std: Standard deviation of the samples; None for one sample.
        mask: The brain, uint8.
        remarks: Warnings, one sentence each.
        facts: Model, options and hashes of the input, as in the sidecar.
        made: The other entries of the sidecar.
        inputs: Files that were read.
    """

    image: nib.Nifti1Image
    std: nib.Nifti1Image | None
    mask: nib.Nifti1Image
    remarks: tuple[str, ...]
    facts: dict[str, Any] = field(repr=False)
    made: dict[str, Any] = field(repr=False)
    inputs: tuple[Path, ...] = field(repr=False)

    def save(self, path: str | PathLike[str], overwrite: bool = False) -> None:
        """Write the image, its JSON sidecar and the deviation, as ``mrcontrast translate`` does.

        ``path`` ends in .nii.gz or .nii; ``overwrite`` replaces an earlier translation by other
        options. Raises UsageError for a file that must not be replaced, MrcontrastError for a
        failed writing.
        """
        output = Path(path)
        if not output.name.endswith(ENDINGS):
            raise UsageError(f"Expected a file .nii.gz or .nii, got {output.name}. Rename it.")
        check_collisions([Job(output.name, self.inputs, None, output, 0)])
        files = PredictionFiles(output)
        if files.needed(self.facts, Existing.REDO if overwrite else Existing.REFUSE):
            std = None if self.std is None else as_volume(self.std)
            files.write(as_volume(self.image), std, self.facts | self.made, self.image)
