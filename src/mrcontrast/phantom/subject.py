"""One phantom subject: a pair of MR volumes with their ground truth."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import UsageError
from mrcontrast.phantom.anatomy import draw_anatomy
from mrcontrast.phantom.artefacts import AxialSlices
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.phantom.fields import draw_smooth_field, upsample
from mrcontrast.phantom.frame import frame_affine, frame_shape
from mrcontrast.phantom.physics import Sequence
from mrcontrast.phantom.protocol import Receiver, draw_protocol
from mrcontrast.phantom.scan import acquire, true_signal
from mrcontrast.phantom.tissue import TISSUES
from mrcontrast.storage.volume import Volume

WM = TISSUES.index("wm")
TEXTURE_MM = 5.0


@dataclass(frozen=True)
class PhantomSubject:
    """A subject with both contrasts on one grid, aligned, RAS, skull-stripped.

    Attributes:
        flair: T2-FLAIR, (X, Y, Z), float32, raw units of the scanner, >= 0; 0 outside the brain.
        t1w: MPRAGE, likewise; its unit is another one.
        labels: (X, Y, Z), uint8: 0 background, 1 CSF, 2 GM, 3 WM, 4 lesion.
        brain_mask: (X, Y, Z), bool.
        lesion_mask: (X, Y, Z), bool; where ``labels`` is 4.
        tags: What was drawn, such as "field_strength_t", "flair_te_ms", "lesion_count".
    """

    flair: Volume
    t1w: Volume
    labels: np.ndarray
    brain_mask: np.ndarray
    lesion_mask: np.ndarray
    tags: dict[str, float]


def make_subject(seed: int, config: PhantomConfig | None = None) -> PhantomSubject:
    """Make the subject of a seed: the same seed and config give the same voxels.

    Anatomy and fields are drawn in millimetres: at another ``spacing_mm`` the same brain returns.

    Args:
        seed: Any integer >= 0; each one is an independent subject.
        config: Ranges to draw from; the defaults when None.

    Raises:
        UsageError: The seed is negative, or the config does not fit.
    """
    if seed < 0:
        raise UsageError(f"Expected a seed >= 0, got {seed} (phantom). Choose another seed.")
    config = config or PhantomConfig()
    scanner, shape = config.scanner, frame_shape(config.spacing_mm)
    streams = np.random.default_rng(seed).spawn(5)
    anatomy_rng, protocol_rng, texture_rng, t1w_rng, flair_rng = streams

    anatomy = draw_anatomy(
        anatomy_rng, config.anatomy, config.lesions, config.spacing_mm, config.anatomy_spacing_mm
    )
    protocol = draw_protocol(protocol_rng, scanner)
    texture = upsample(draw_smooth_field(texture_rng, TEXTURE_MM, channels=2), shape)
    relaxation, brain_mask = protocol.relaxation, anatomy.brain_mask

    def scan(
        rng: np.random.Generator, sequence: Sequence, receiver: Receiver, slices: AxialSlices
    ) -> Volume:
        signal = true_signal(sequence, relaxation, anatomy.fractions, scanner.texture * texture)
        wm_signal = float(sequence.signal(relaxation)[WM])
        image = acquire(rng, signal, wm_signal, receiver, slices)
        return Volume(image * brain_mask, frame_affine(config.spacing_mm))

    thin = AxialSlices(shape[2], config.spacing_mm, config.spacing_mm)
    thick = replace(thin, thickness_mm=protocol.flair_slice_thickness_mm or config.spacing_mm)
    return PhantomSubject(
        flair=scan(flair_rng, protocol.flair, protocol.flair_receiver, thick),
        t1w=scan(t1w_rng, protocol.mprage, protocol.t1w_receiver, thin),
        labels=anatomy.labels,
        brain_mask=brain_mask,
        lesion_mask=anatomy.lesion_mask,
        tags={**protocol.tags(), **anatomy.tags},
    )
