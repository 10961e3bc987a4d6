"""One phantom subject: MR volumes of the same tissue, with their ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import UsageError
from mrcontrast.phantom.anatomy import draw_anatomy
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.phantom.fields import draw_smooth_field, frame_affine, frame_shape, upsample
from mrcontrast.phantom.protocol import draw_protocol, draw_spin_echo
from mrcontrast.phantom.scan import AxialSlices, acquire, true_signal
from mrcontrast.phantom.tissue import TISSUES
from mrcontrast.storage.volume import Volume

WM = TISSUES.index("wm")
TEXTURE_MM = 5.0


@dataclass(frozen=True)
class PhantomSubject:
    """A subject with all contrasts on one grid, aligned, RAS, skull-stripped.

    Attributes:
        images: Volumes by contrast, (X, Y, Z), float32, raw units of the scanner, >= 0; 0 outside
            the brain. Each contrast has a unit of its own.
        labels: (X, Y, Z), uint8: 0 background, 1 CSF, 2 GM, 3 WM, 4 lesion.
        brain_mask: (X, Y, Z), bool.
        lesion_mask: (X, Y, Z), bool; where ``labels`` is 4.
        tags: Drawn values, such as "field_strength_t", "flair_te_ms", "lesion_count".
    """

    images: dict[str, Volume]
    labels: np.ndarray
    brain_mask: np.ndarray
    lesion_mask: np.ndarray
    tags: dict[str, float]


def make_subject(
    seed: int, config: PhantomConfig | None = None, contrasts: Sequence[str] = ("flair", "t1w")
) -> PhantomSubject:
    """Make the subject of a seed: the same seed and config give the same voxels.

    Anatomy and fields are drawn in millimetres: another ``spacing_mm`` gives the same brain. Each
    contrast has random numbers of its own: further contrasts leave the others as they are.

    Args:
        seed: Any integer >= 0; each one is an independent subject.
        config: Ranges to draw from; None takes the defaults.
        contrasts: "flair", "t1w", and keys of ``config.scanner.sequences.spin_echo``.

    Raises:
        UsageError: The seed is negative, or the config does not fit.

    Example:
        >>> config = PhantomConfig(spacing_mm=6.0, anatomy_spacing_mm=6.0)
        >>> make_subject(3, config, ["t2w"]).images["t2w"].shape
        (30, 36, 32)
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
    scans, rngs = dict(protocol.scans), {"t1w": t1w_rng, "flair": flair_rng}
    for name in contrasts:
        if name not in scans:
            scan_rng, rngs[name] = np.random.default_rng([seed, *name.encode()]).spawn(2)
            scans[name] = draw_spin_echo(scan_rng, scanner, name)
    protocol = replace(protocol, scans={name: scans[name] for name in contrasts})
    brain_mask = anatomy.brain_mask
    texture = upsample(draw_smooth_field(texture_rng, TEXTURE_MM, channels=2), shape)

    images = {}
    for name, scan in protocol.scans.items():
        signal = true_signal(
            scan.sequence, protocol.relaxation, anatomy.fractions, scanner.texture * texture
        )
        wm_signal = float(scan.sequence.signal(protocol.relaxation)[WM])
        thickness_mm = scan.slice_thickness_mm or config.spacing_mm
        slices = AxialSlices(shape[2], config.spacing_mm, thickness_mm)
        image = acquire(rngs[name], signal, wm_signal, scan.receiver, slices)
        images[name] = Volume(image * brain_mask, frame_affine(config.spacing_mm))
    return PhantomSubject(
        images=images,
        labels=anatomy.labels,
        brain_mask=brain_mask,
        lesion_mask=anatomy.lesion_mask,
        tags={**protocol.tags(), **anatomy.tags},
    )
