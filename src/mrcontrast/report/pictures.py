"""Small still pictures of one session, for a reader without the viewer."""

import base64
import io
from typing import NamedTuple

import numpy as np
from matplotlib.image import imsave

from mrcontrast.data.contrasts import title_of
from mrcontrast.report.colours import colour_map
from mrcontrast.report.figure import FigureRow, make_cut
from mrcontrast.report.sessions import Images
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.orientation import to_ras


class Picture(NamedTuple):
    """One slice as a PNG in a URL, with the width over height that it should be shown with."""

    title: str
    alt: str
    url: str
    ratio: float


def draw_strip(
    name: str, images: Images, method: str, window: tuple[float, float], error: float
) -> list[Picture]:
    """Draw the widest axial slice of a session: real, synthetic, error and spread, as there are.

    ``window`` is shown as black and white, and ``error``, in the same units, has the last colour.
    """
    low, high = window
    real, synthetic = images.real, images.synthetic[method]
    shown = [
        *(
            (title_of(contrast), source, "image", 0.0, 1.0)
            for contrast, source in images.sources.items()
            if np.allclose(source.affine, real.affine, atol=1e-3)
        ),
        ("Real", real, "image", low, high),
        ("Synthetic", synthetic, "image", low, high),
        ("Error", Volume(synthetic.data - real.data, real.affine), "error", -error, error),
    ]
    if method in images.spread:
        shown.append(("Uncertainty", images.spread[method], "spread", 0.0, error / 2))
    turned = to_ras(real)
    mask = to_ras(Volume(images.mask, real.affine)).data
    cut = make_cut(FigureRow(name, {}, turned.data, {}, mask, turned.spacing_mm), "axial")
    return [
        Picture(
            title,
            f"{title}, {name}, {method}: axial slice {cut.index}, patient's right at the left",
            _png_url(cut.show(to_ras(volume).data)[::-1], kind, least, most),
            1 / cut.height,
        )
        for title, volume, kind, least, most in shown
    ]


def _png_url(section: np.ndarray, kind: str, low: float, high: float) -> str:
    """Return a slice (rows from the top, columns) as the URL of a PNG."""
    file = io.BytesIO()
    imsave(file, section, format="png", cmap=colour_map(kind), vmin=low, vmax=high)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
