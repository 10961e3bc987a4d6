"""The grid of the file: order of axes, ends of the field of view, thin slices, NaN, memory."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from torch import Tensor

from mrcontrast.errors import MrcontrastError
from mrcontrast.inference import native
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.inference.volume_sampler import repeat_ends
from mrcontrast.stages.contract import Stage
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import ModelGrid, field_of_view
from mrcontrast.transforms.normalise import PercentileNormaliser

GRID = ModelGrid(3.0, (16, 20, 12), multiple=4)
SHAPE = (13, 17, 10)
ORDERS = [
    np.array(list(zip(axes, signs, strict=True)), float)
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


class Context(Stage):
    """Return the mean of a slice and its neighbours."""

    def __init__(self) -> None:
        super().__init__(context_slices=1)

    def forward(
        self, batch: dict[str, Tensor], noise: Tensor | None = None, generator: object = None
    ) -> Tensor:
        return batch["source"].mean(dim=1, keepdim=True)


class Neighbours(Context):
    """Return the mean of the two neighbours of a slice."""

    def forward(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
        return batch["source"][:, [0, 2]].mean(dim=1, keepdim=True)


def translator(stage: Stage | None = None, grid: ModelGrid = GRID) -> StageTranslator:
    return StageTranslator(stage or Context(), grid, {"flair": PercentileNormaliser(0, 100)})


def brain(shape: tuple[int, int, int] = SHAPE, spacing: float = 3.0) -> Volume:
    """Make an ellipsoid of random intensities; its middle lies half way between two voxels."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.9
    data = np.random.default_rng(0).uniform(100, 900, shape) * inside
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (-17.25, 31.7, -8.1)
    return Volume(data.astype(np.float32), affine)


def stored(volume: Volume, order: np.ndarray) -> Volume:
    """Store a volume with other axes; the affine is rounded to float32, as in a header."""
    data = nib.orientations.apply_orientation(volume.data, order)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(order, volume.shape)
    return Volume(np.ascontiguousarray(data), affine.astype(np.float32).astype(np.float64))


def oblique(volume: Volume) -> Volume:
    turned = volume.affine.copy()
    c, s = np.cos(0.2), np.sin(0.2)
    turned[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ turned[:3, :3]
    return Volume(volume.data, turned)


@pytest.mark.parametrize("kind", ["same lattice", "other spacing", "oblique"])
def test_equal_bits_for_all_orders_of_axes(kind: str) -> None:
    volume = brain(spacing=2.2 if kind == "other spacing" else 3.0)
    volume = oblique(volume) if kind == "oblique" else volume
    machine = translator()
    expected = machine.translate(volume).mean.data
    assert expected.any()
    for order in ORDERS if kind == "same lattice" else ORDERS[::5]:
        other = stored(volume, order)
        made = machine.translate(other).mean
        np.testing.assert_array_equal(made.affine, other.affine)
        turned = nib.orientations.apply_orientation(expected, order)
        np.testing.assert_array_equal(made.data, turned, err_msg=str(order.tolist()))


def test_a_quaternion_gives_the_same_bits() -> None:
    """Quaternions of float32 turn by 90 degrees up to 1e-8 only."""
    volume = brain()
    expected = translator().translate(volume).mean.data
    for order in ORDERS[1::7]:
        other = stored(volume, order)
        header = nib.Nifti1Header()
        header.set_data_shape(other.shape)
        header.set_qform(other.affine, 1)
        made = translator().translate(Volume(other.data, header.get_qform())).mean.data
        np.testing.assert_array_equal(made, nib.orientations.apply_orientation(expected, order))


@pytest.mark.parametrize("order", [ORDERS[0], ORDERS[5], ORDERS[20], ORDERS[47]])
def test_a_mask_is_turned_with_its_volume(order: np.ndarray) -> None:
    volume = brain()
    mask = volume.data > 300
    turned = nib.orientations.apply_orientation(mask, order)
    made = translator().translate(stored(volume, order), turned).mean.data
    expected = translator().translate(volume, mask).mean.data
    np.testing.assert_array_equal(made, nib.orientations.apply_orientation(expected, order))


@pytest.mark.parametrize("spacing", [3.0, 4.5, 2.0])
@pytest.mark.parametrize("end", [0, -1])
def test_the_last_slice_of_a_cut_brain_is_its_own_neighbour(spacing: float, end: int) -> None:
    """A field of view that ends within the brain gives what a repeated slice gives."""
    data = np.random.default_rng(1).uniform(200, 900, (12, 15, 7)).astype(np.float32)
    volume = Volume(data, np.diag([3.0, 3.0, spacing, 1.0]))
    mask = np.ones(data.shape, bool)
    longer = volume.affine.copy()
    longer[2, 3] -= 3 * spacing
    padded = np.pad(data, ((0, 0), (0, 0), (3, 3)), mode="edge")
    cut = translator(Neighbours(), GRID).translate(volume, mask).mean.data
    wide = np.pad(mask, ((0, 0), (0, 0), (3, 3)))
    repeated = translator(Neighbours(), GRID).translate(Volume(padded, longer), wide).mean.data
    zeros = np.pad(data, ((0, 0), (0, 0), (3, 3)))
    dark = translator(Neighbours(), GRID).translate(Volume(zeros, longer), wide).mean.data
    inner = cut[1:-1, 1:-1, end].mean()
    assert dark[1:-1, 1:-1, 3:-3][..., end].mean() < 0.85 * inner  # as neighbours of 0 give
    assert inner == pytest.approx(float(_shown(padded)[3:-3][end]), rel=0.1)
    assert repeated.shape[2] == 13


def _shown(data: np.ndarray) -> np.ndarray:
    """Return the normalised mean of each slice."""
    return ((data - data.min()) / np.ptp(data)).mean(axis=(0, 1))


def test_voxels_are_repeated_beyond_an_oblique_end() -> None:
    field = np.zeros((2, 1, 5), bool)
    field[0, 0, 1:3] = field[1, 0, 2:] = True
    image = np.arange(10, dtype=np.float32).reshape(2, 1, 5) * field
    made = repeat_ends(image, field)
    np.testing.assert_array_equal(made[:, 0], [[1, 1, 2, 2, 2], [7, 7, 7, 8, 9]])
    np.testing.assert_array_equal(repeat_ends(image, np.zeros_like(field)), image)


def test_field_of_view_ends_at_the_faces_of_its_voxels() -> None:
    volume = Volume(np.ones((2, 3, 4), np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    grid = np.diag([1.0, 1.0, 1.0, 1.0])
    grid[:3, 3] = -2
    field = field_of_view(volume, grid, (8, 9, 11))
    inside = [np.flatnonzero(field.any(axis=axes)) - 2 for axes in ((1, 2), (0, 2), (0, 1))]
    assert [(axis[0], axis[-1]) for axis in inside] == [(-1, 2), (-1, 4), (-1, 6)]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("slices", "thickness"), [(1, 1.0), (1, 0.4), (2, 0.7), (3, 1.0)])
def test_thin_slices_are_translated(axis: int, slices: int, thickness: float) -> None:
    shape, spacing = [14, 14, 14], [3.0, 3.0, 3.0]
    shape[axis], spacing[axis] = slices, thickness
    data = np.random.default_rng(2).uniform(100, 900, shape).astype(np.float32)
    volume = Volume(data, np.diag([*spacing, 1.0]))
    made = translator().translate(volume, np.ones(shape, bool)).mean.data
    assert (made > 0).mean() > 0.95


def test_a_brain_smaller_than_a_voxel_is_named() -> None:
    volume = brain(spacing=0.5)
    mask = np.zeros(volume.shape, bool)
    mask[5, 5, 5] = True
    with pytest.raises(MrcontrastError, match="fills a voxel of the model, 3 mm, got 1 voxels"):
        translator().translate(volume, mask)


def test_nan_outside_the_brain_is_background() -> None:
    volume = brain()
    outside = volume.data == 0
    spm = Volume(np.where(outside, np.nan, volume.data).astype(np.float32), volume.affine)
    expected = translator().translate(volume).mean.data
    for mask in (None, ~outside):
        np.testing.assert_array_equal(translator().translate(spm, mask).mean.data, expected)


def test_nan_in_the_brain_is_refused() -> None:
    volume = brain()
    volume.data[6, 8, 5] = np.nan
    for mask in (None, brain().data > 0):
        with pytest.raises(MrcontrastError, match="finite voxels in the brain, got 1 NaN"):
            translator().translate(volume, mask)


def test_detail_that_the_model_lacks_is_said() -> None:
    assert translator().translate(brain()).remarks == ()
    (said,) = translator().translate(brain(spacing=1.0)).remarks
    assert said == "voxels of 1 x 1 x 1 mm are translated at the model's 3 mm detail"


def test_a_grid_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    far = brain()
    mask = far.data > 0
    huge = Volume(far.data, far.affine @ np.diag([4e4, 4e4, 4e4, 1.0]))
    with pytest.raises(MrcontrastError, match="fits in memory, got a grid of"):
        translator().translate(huge, mask)
    monkeypatch.setattr(native, "free_memory", lambda: 1024)
    with pytest.raises(MrcontrastError, match="got a grid of 13 x 17 x 10 voxels"):
        translator().translate(far, mask)
