"""Small still pictures of a session: contrasts, edges of one over the other, the mask."""

import base64
import io

import numpy as np
import scipy

from mrcontrast.data.contrasts import title_of
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume

PIXELS = 112  # of the longer side
MARGIN = 0.06  # of the brain's extent, around it
LEAST_MM = 8.0  # along each axis, so that a mask of one voxel has surroundings to be seen in
EDGES = 90  # percentile of the gradient from which a pixel is an edge
RIM_PIXELS = 3  # within a mask's border, where a stripped brain ends in a step that hides the rest
ORANGE, BLUE = np.array([1.0, 0.55, 0.1]), np.array([0.35, 0.7, 1.0])
AXIAL, SAGITTAL = (0, 1), (1, 2)  # world axes that a picture shows, across and up


def draw_pictures(subject: Subject) -> dict[str, str]:
    """Return pictures as PNG URLs by title, drawn on planes of the world through the brain.

    Each contrast is interpolated from its own grid, so that contrasts that do not overlay are shown
    so. The patient's right, or the front, is at the left.
    """
    low, high = _extent(subject)
    first, *others = (title_of(name) for name in subject.images)
    shown: dict[str, np.ndarray] = {}
    for plane, axes in (("axial", AXIAL), ("sagittal", SAGITTAL)):
        points = _plane(low, high, axes)
        image, *moved = (_grey(_sample(v, points)) for v in subject.images.values())
        if axes == AXIAL:
            shown |= dict(zip((first, *others), (image, *moved), strict=True))
        inside = _inside(subject, points)
        for title, other in zip(others, moved, strict=True):
            name = f"{title} edges on {first}, {plane}"
            shown[name] = _painted(image, edges(other, inside), ORANGE)
        if axes == AXIAL and subject.brain_mask is not None:
            rim = inside & ~scipy.ndimage.binary_erosion(inside)
            shown[f"Mask on {first}"] = _painted(image, rim, BLUE)
    return {title: _url(image) for title, image in shown.items()}


def _extent(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest corner of the brain, or of the reference, in the world (mm)."""
    mask = subject.brain_mask
    shape = subject.like.shape
    index = np.array([(0, 0, 0), tuple(n - 1 for n in shape)]).T
    if mask is not None and mask.any():
        found = np.nonzero(mask)
        index = np.array([(axis.min(), axis.max()) for axis in found])
    corners = np.array(np.meshgrid(*index, indexing="ij")).reshape(3, -1)
    world = subject.like.affine[:3, :3] @ corners + subject.like.affine[:3, 3:]
    low, high = world.min(axis=1), world.max(axis=1)
    half = np.maximum((high - low) / 2 + MARGIN * (high - low).max(), LEAST_MM / 2)
    middle = (low + high) / 2
    return middle - half, middle + half


def _plane(low: np.ndarray, high: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    """Return the world points of a picture's pixels, (3, rows, columns), first row on top."""
    across, up = axes
    step = max(high[across] - low[across], high[up] - low[up], 1.0) / PIXELS
    columns = np.arange(low[across], high[across], step)
    rows = np.arange(high[up], low[up], -step)
    points = np.empty((3, len(rows), len(columns)))
    points[across], points[up] = columns[None, :], rows[:, None]
    (fixed,) = {0, 1, 2} - set(axes)
    share = 0.42 if axes == SAGITTAL else 0.5  # off the midline
    points[fixed] = low[fixed] + share * (high[fixed] - low[fixed])
    # Left of the picture: the patient's right (x grows), or the front (y falls).
    return points[:, :, ::-1]


def _sample(volume: Volume, points: np.ndarray) -> np.ndarray:
    """Return a volume at world points (3, *P), linear; 0 outside."""
    inverse = np.linalg.inv(volume.affine)
    index = np.tensordot(inverse[:3, :3], points, 1) + inverse[:3, 3].reshape(3, 1, 1)
    return scipy.ndimage.map_coordinates(np.asarray(volume.data, np.float32), index, order=1)


def _inside(subject: Subject, points: np.ndarray) -> np.ndarray:
    """Return where the brain mask is at world points, bool; everywhere if there is none."""
    if subject.brain_mask is None:
        return np.ones(points.shape[1:], bool)
    mask = Volume(subject.brain_mask.astype(np.float32), subject.like.affine)
    return np.asarray(_sample(mask, points) > 0.5)


def _grey(image: np.ndarray) -> np.ndarray:
    """Return a picture in [0, 1], its brightest percent cut."""
    low, high = float(min(image.min(), 0)), float(np.percentile(image, 99.5))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def edges(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return where a picture changes most within the brain, bool; without the rim."""
    depths = scipy.ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    deep = depths > RIM_PIXELS
    if not deep.any():
        return deep
    slope = scipy.ndimage.gaussian_gradient_magnitude(image, 1.0)
    return np.asarray(deep & (slope > max(float(np.percentile(slope[deep], EDGES)), 0.02)))


def _painted(image: np.ndarray, where: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return a grey picture (rows, columns) in colour, (rows, columns, 3), with pixels painted."""
    coloured = np.repeat(image[..., None], 3, axis=2)
    coloured[where] = colour
    return coloured


def _url(image: np.ndarray) -> str:
    """Return a picture in [0, 1], grey or in colour, as the URL of a PNG."""
    from matplotlib.image import imsave  # late: a new split draws nothing

    coloured = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    file = io.BytesIO()
    imsave(file, np.round(255 * coloured).astype(np.uint8), format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
