"""Draw a comparison: source, real and synthetic volumes side by side, and error maps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mrcontrast.data.contrasts import title_of
from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.voxelwise import peak_signal_to_noise
from mrcontrast.storage.files import replacing
from mrcontrast.storage.volume import Volume, read_mask, read_volume, same_grid
from mrcontrast.transforms.brain import mask_from_nonzero
from mrcontrast.transforms.orientation import to_ras

COLUMN_INCHES, LABEL_INCHES, TITLE_INCHES, BAR_INCHES = 1.9, 0.3, 0.4, 1.0
DOTS_PER_INCH = 130
MARGIN_VOXELS = 2
BACKGROUND, INK = "black", "#e8e8e8"
ERROR_COLOURS = "inferno"
ERROR_SHARE = 0.3  # of the window; a larger error has the last colour
# Axis that a plane cuts, and the letter of its left edge: the patient's right, or the front.
PLANES = {"axial": (2, "R"), "coronal": (1, "R"), "sagittal": (0, "A")}


@dataclass(frozen=True)
class Cut:
    """A slice through a volume, cropped to the brain, with the height of a pixel in widths."""

    plane: str
    index: int
    crop: tuple[slice, slice]
    aspect: float

    def show(self, volume: np.ndarray) -> np.ndarray:
        """Return the slice with the top up and the patient's right, or the front, at the left."""
        section = np.take(volume, self.index, axis=PLANES[self.plane][0])[self.crop]
        return np.asarray(section)[::-1].T

    @property
    def height(self) -> float:
        """Height of the picture in widths."""
        width, height = (part.stop - part.start for part in self.crop)
        return self.aspect * height / width


@dataclass(frozen=True)
class FigureRow:
    """The volumes of one subject, (X, Y, Z) each, all on one grid whose axes are RAS."""

    subject: str
    sources: Mapping[str, np.ndarray]  # by title, in the intensity range of the figure's window
    real: np.ndarray
    synthetic: Mapping[str, np.ndarray]  # by method
    mask: np.ndarray  # of the brain, not empty; slices and PSNR follow it
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    spread: Mapping[str, np.ndarray] = field(default_factory=dict)  # by method, where known
    title: str = ""  # of the target

    @property
    def titles(self) -> list[str]:
        """Titles of the columns."""
        found = [*self.sources, f"real {self.title}".strip()]
        for name in self.synthetic:
            found += [f"synthetic: {name}", f"|{name} - real|"]
            found += [f"spread: {name}"] if name in self.spread else []
        return found


def comparison_figure(
    rows: list[FigureRow], path: Path, window: tuple[float, float] = (0.0, 1.0)
) -> None:
    """Write a PNG with a line for each subject, and all three planes of the first.

    Columns: sources, real image, then for each method a synthetic one, its error map and its
    spread, if any. All images share one grey ``window``, all maps one colour scale.

    Raises:
        MrcontrastError: No row, or rows whose methods differ.
    """
    if not rows or any(row.titles != rows[0].titles for row in rows):
        methods = [[*row.synthetic, *row.spread] for row in rows]
        message = f"Expected subjects with the same methods, got {methods} ({path})."
        raise MrcontrastError(f"{message} Draw those that all methods predict.")
    lines = [(rows[0], plane) for plane in PLANES] + [(row, "axial") for row in rows[1:]]
    cuts = [make_cut(row, plane) for row, plane in lines]
    figure, axes = _canvas([cut.height for cut in cuts], len(rows[0].titles))
    for line, (row, _), cut in zip(axes, lines, cuts, strict=True):
        _draw_line(line, row, cut, window)
    for axis, title in zip(axes[0], rows[0].titles, strict=True):
        axis.set_title(title, color=INK, fontsize=9)
    _draw_bar(figure, window)
    with replacing(Path(path)) as unfinished:
        figure.savefig(unfinished, format="png", dpi=DOTS_PER_INCH, facecolor=BACKGROUND)


def read_row(
    subject: str,
    sources: Mapping[str, Path],
    real: Path,
    synthetic: Mapping[str, Path],
    mask: Path | None = None,
    spread: Mapping[str, Path] | None = None,
    target: str = "",
) -> FigureRow:
    """Read the files of one subject, all on one grid, and turn their axes to RAS.

    Sources come by contrast, synthetic volumes and spreads by method. Without a mask the non-zero
    voxels of ``real`` are the brain.

    Raises:
        MrcontrastError: A file cannot be read or is on another grid.
    """
    like = read_volume(real)
    brain = mask_from_nonzero(like) if mask is None else read_mask(mask, like, real)
    turned = to_ras(like)

    def read(path: Path, zeros: bool = False) -> np.ndarray:
        volume = read_volume(path, zeros)
        same_grid(like, volume, real, path)
        return to_ras(volume).data

    return FigureRow(
        subject,
        {title_of(name): read(path) for name, path in sources.items()},
        turned.data,
        {name: read(path) for name, path in synthetic.items()},
        to_ras(Volume(brain, like.affine)).data,
        turned.spacing_mm,
        {name: read(path, zeros=True) for name, path in (spread or {}).items()},
        title_of(target),
    )


def make_cut(row: FigureRow, plane: str) -> Cut:
    """Choose a slice: the widest axial one, the middle coronal, a sagittal next to the midline.

    Raises:
        MrcontrastError: The mask is empty.
    """
    if not row.mask.any():
        raise MrcontrastError(
            f"Expected a mask with voxels in it, got an empty one ({row.subject}). Make it again."
        )
    axis = PLANES[plane][0]
    boxes = [_extent(row.mask, each) for each in range(3)]
    share = 0.42 if plane == "sagittal" else 0.5
    index = round(boxes[axis].start + share * (boxes[axis].stop - 1 - boxes[axis].start))
    if plane == "axial":
        index = int(row.mask.sum(axis=(0, 1)).argmax())
    across, up = (each for each in range(3) if each != axis)
    aspect = row.spacing_mm[up] / row.spacing_mm[across]
    return Cut(plane, index, (boxes[across], boxes[up]), aspect)


def _extent(mask: np.ndarray, axis: int) -> slice:
    """Return the span of the mask along an axis, with a margin."""
    filled = np.flatnonzero(mask.any(axis=tuple(each for each in range(3) if each != axis)))
    first, last = int(filled[0]) - MARGIN_VOXELS, int(filled[-1]) + MARGIN_VOXELS
    return slice(max(0, first), min(mask.shape[axis], last + 1))


def _canvas(heights: list[float], num_columns: int) -> tuple[Figure, np.ndarray]:
    """Return a dark figure and its axes, (lines, columns); a line is as high as its pictures."""
    line_inches = [COLUMN_INCHES * height + LABEL_INCHES for height in heights]
    width = COLUMN_INCHES * num_columns + BAR_INCHES
    height = sum(line_inches) + TITLE_INCHES
    figure = Figure(figsize=(width, height), facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes = np.empty((len(heights), num_columns), dtype=object)
    top = height - TITLE_INCHES
    for line, (inches, share) in enumerate(zip(line_inches, heights, strict=True)):
        for column in range(num_columns):
            left = COLUMN_INCHES * (column + 0.02) / width
            bottom = (top - COLUMN_INCHES * share) / height
            box = (left, bottom, COLUMN_INCHES * 0.96 / width, COLUMN_INCHES * share / height)
            axes[line, column] = each = figure.add_axes(box, facecolor=BACKGROUND)
            each.set(xticks=[], yticks=[])
            each.spines[:].set_visible(False)
        top -= inches
    return figure, axes


def _draw_line(axes: np.ndarray, row: FigureRow, cut: Cut, window: tuple[float, float]) -> None:
    """Draw one plane of one subject from left to right."""
    low, high = window
    grey = {"cmap": "gray", "norm": Normalize(low, high)}
    fire = {"cmap": ERROR_COLOURS, "norm": Normalize(0, ERROR_SHARE * (high - low))}
    labels = [cut.plane, *[""] * (len(row.sources) - 1), row.subject]
    images = [*row.sources.values(), row.real]
    shown = [(image, grey, label) for image, label in zip(images, labels, strict=True)]
    for name, image in row.synthetic.items():
        psnr = peak_signal_to_noise(image, row.real, high - low, row.mask)
        error = np.abs(image - row.real)
        mae = float(error[row.mask].mean())
        shown += [
            (image, grey, f"{row.subject}  PSNR {psnr:.1f} dB"),
            (error, fire, f"MAE {mae:.3f}"),
        ]
        if name in row.spread:
            mean = float(row.spread[name][row.mask].mean())
            shown.append((row.spread[name], fire, f"mean {mean:.3f}"))
    for axis, (volume, look, label) in zip(axes, shown, strict=True):
        axis.imshow(
            cut.show(volume), origin="lower", aspect=cut.aspect, interpolation="nearest", **look
        )
        axis.set_xlabel(label, color=INK, fontsize=8, labelpad=3)
    letter = PLANES[cut.plane][1]
    axes[0].text(0.02, 0.98, letter, color=INK, fontsize=8, va="top", transform=axes[0].transAxes)


def _draw_bar(figure: Figure, window: tuple[float, float]) -> None:
    """Draw the colour scale of errors and spreads at the right edge."""
    width = figure.get_figwidth()
    box = (1 - 0.8 * BAR_INCHES / width, 0.3, 0.12 / width, 0.4)
    scale = Normalize(0, ERROR_SHARE * (window[1] - window[0]))
    bar = figure.colorbar(
        ScalarMappable(scale, ERROR_COLOURS), cax=figure.add_axes(box), extend="max"
    )
    bar.ax.tick_params(colors=INK, labelsize=7)
    bar.outline.set_visible(False)
    bar.set_label("|error|, spread; PSNR and means in the brain", color=INK, fontsize=7)
