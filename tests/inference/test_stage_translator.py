import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.data.record import Record
from mrcontrast.diffusion.samplers import DDIM, DDPM
from mrcontrast.diffusion.sampling import Generators, draw
from mrcontrast.diffusion.sampling import Sampler as BaseSampler
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.sampling_options import DEFAULTS, SamplingOptions
from mrcontrast.inference.slice_noise import stream
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.contract import Stage
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_volume
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import PercentileNormaliser

SPACING_MM = 3.0
GRID = ModelGrid(SPACING_MM, (40, 48, 32))
NORMALISER = {"flair": PercentileNormaliser(0, 99.5)}


class Sampler:
    num_steps = num_calls = 5
    adds_noise = False


class Identity(Stage):
    """Return the middle slice of the source; draw nothing."""

    def __init__(self, spatial_dims: int, takes: str = "source", **sizes: int) -> None:
        super().__init__(spatial_dims=spatial_dims, **sizes)
        self.takes = takes

    def forward(
        self, batch: dict[str, Tensor], noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        assert noise is None
        image = batch[self.takes]
        return image[:, image.shape[1] // 2].unsqueeze(1)


class Noisy(Identity):
    """Add latent noise, brought up to the size of the image, and noise of the sampler's own."""

    sampler: object = None
    start = 1.0
    guidance: float | None = None

    def __init__(self, spatial_dims: int, fresh: float = 0.0) -> None:
        super().__init__(spatial_dims, factor=4)
        self.fresh = fresh
        self.sampler = Sampler()
        self.batches: list[tuple[int, ...]] = []
        self.prepared_batches = 0

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        self.prepared_batches += 1
        return batch

    def noise_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        assert all(size % self.factor == 0 for size in image_shape)
        return (3, *(size // self.factor for size in image_shape))

    def forward(
        self, batch: dict[str, Tensor], noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        assert noise is not None
        self.batches.append(tuple(batch["source"].shape))
        field = F.interpolate(noise, scale_factor=self.factor).mean(dim=1, keepdim=True)
        image = super().forward(batch) + 0.1 * field
        return (image + self.fresh * draw(image, generator)).clamp(0, 1)


class Context(Identity):
    """Return the mean of the slices below and above."""

    def __init__(self, spatial_dims: int) -> None:
        super().__init__(spatial_dims, context_slices=1)

    def forward(
        self, batch: dict[str, Tensor], noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        return batch["source"][:, [0, 2]].mean(dim=1, keepdim=True)


def translator(
    stage: Stage, draws: SamplingOptions = DEFAULTS, **options: object
) -> StageTranslator:
    return StageTranslator(stage, GRID, NORMALISER, draws, **options)


def head(affine: np.ndarray, shape: tuple[int, int, int]) -> Volume:
    """Make a smooth brain of about 80 x 100 x 70 mm around the origin, in arbitrary units."""
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    inside = (places**2 / np.array([40.0, 50.0, 35.0]) ** 2).sum(axis=-1) < 1
    x, y, z = np.moveaxis(places, -1, 0)
    pattern = 3 + np.sin(x / 15) + np.cos(y / 20) * np.sin(z / 17 + 0.5) + x / 60
    return Volume((200 * pattern * inside).astype(np.float32), affine)


def centred(columns: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = -columns @ ((np.array(shape) - 1) / 2)
    return affine


def turned(degrees: float) -> np.ndarray:
    a, b = np.deg2rad(degrees), np.deg2rad(degrees / 2)
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_z = [[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]]
    return np.array(about_x) @ np.array(about_z)


ORIENTATIONS = {
    "RAS": (np.diag([2.0, 2.0, 2.0]), (50, 60, 45)),
    "LPS": (np.diag([-2.0, -2.0, 2.0]), (50, 60, 45)),
    "sagittal": (np.array([[0, 0, 2.5], [-2.0, 0, 0], [0, -2.0, 0]]), (60, 45, 40)),
    "oblique": (turned(20) @ np.diag([-1.5, 2.0, 2.5]), (70, 70, 45)),
}


@pytest.fixture(params=ORIENTATIONS)
def volume(request: pytest.FixtureRequest) -> Volume:
    columns, shape = ORIENTATIONS[request.param]
    return head(centred(columns, shape), shape)


@pytest.fixture
def ras() -> Volume:
    columns, shape = ORIENTATIONS["RAS"]
    return head(centred(columns, shape), shape)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_identity_comes_back_to_its_own_grid(volume: Volume, spatial_dims: int) -> None:
    result = translator(Identity(spatial_dims)).translate(volume)
    np.testing.assert_array_equal(result.mean.affine, volume.affine)
    assert result.mean.shape == volume.shape
    assert result.mean.data.dtype == np.float32
    brain = volume.data > 0
    assert not result.mean.data[~brain].any()
    deep = ndimage.binary_erosion(brain, iterations=3)
    assert deep.sum() > 5000
    assert result.normaliser is not None
    low, high = result.normaliser["low"], result.normaliser["high"]
    expected = ((volume.data - low) / (high - low)).clip(0, 1)
    error = np.abs(result.mean.data - expected)
    assert error[deep].max() < 0.04
    assert error[deep].mean() < 0.006
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)):
        moved = np.abs(np.roll(result.mean.data, step, axis) - expected)
        assert moved[deep].mean() > 2 * error[deep].mean()  # a voxel off would show


def test_axes_of_the_file_do_not_change_the_image(ras: Volume) -> None:
    flipped = nib.Nifti1Image(ras.data, ras.affine).as_reoriented(
        np.array([[1, -1], [0, 1], [2, -1]])
    )
    other = Volume(np.asarray(flipped.dataobj), flipped.affine)
    assert other.orientation != ras.orientation
    first = translator(Noisy(2)).translate(ras, seed=4).mean
    second = translator(Noisy(2)).translate(other, seed=4).mean
    candidates = [
        np.abs(first.data - second.data.transpose(1, 0, 2)[::x, ::y, ::z]).max()
        for x in (1, -1)
        for y in (1, -1)
        for z in (1, -1)
    ]
    assert min(candidates) < 1e-4


def test_rim_of_the_brain_is_not_darkened() -> None:
    volume = head(centred(np.diag([1.3, 1.3, 1.3]), (80, 90, 70)), (80, 90, 70))
    brain = volume.data > 0
    flat = Volume(np.where(brain, 500, 0).astype(np.float32), volume.affine)
    flat.data[40, 45, 35] = 1  # so that the intensities vary

    class Ones(Identity):
        def forward(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
            return batch["brain_mask"]

    result = translator(Ones(2)).translate(flat, brain).mean.data
    rim = brain & ~ndimage.binary_erosion(brain)
    assert np.mean(np.abs(result[rim] - 1) < 1e-3) > 0.99
    assert not result[~brain].any()


def test_brain_larger_than_the_training_grid_is_not_cut(ras: Volume) -> None:
    small = StageTranslator(Identity(3), ModelGrid(SPACING_MM, (16, 16, 16)), NORMALISER)
    np.testing.assert_allclose(
        small.translate(ras).mean.data, translator(Identity(3)).translate(ras).mean.data, atol=1e-5
    )


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_seed_decides_the_noise(ras: Volume, spatial_dims: int) -> None:
    machine = translator(Noisy(spatial_dims, fresh=0.05))
    first, again, other = (machine.translate(ras, seed=seed).mean.data for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_global_generator_is_left_alone(ras: Volume) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    translator(Noisy(2, fresh=0.05)).translate(ras)
    assert torch.equal(torch.get_rng_state(), state)


def test_batch_size_changes_nothing(ras: Volume) -> None:
    one, many = Noisy(2), Noisy(2)
    first = translator(one, batch_size=1).translate(ras, seed=3).mean.data
    second = translator(many, batch_size=7).translate(ras, seed=3).mean.data
    np.testing.assert_array_equal(first, second)
    assert {batch[0] for batch in one.batches} == {1}
    assert {batch[0] for batch in many.batches} >= {7}


@pytest.mark.parametrize(("noise_turn", "shared"), [(0, True), (4, False)])
def test_slices_share_their_noise_or_turn_it(noise_turn: int, shared: bool) -> None:
    drawing = translator(Noisy(2), SamplingOptions(noise_turn=noise_turn)).sampler
    mask = np.zeros((12, 16, 9), bool)
    mask[:, :, 2:7] = True
    image, _ = drawing.sample(np.full(mask.shape, 0.5, np.float32), mask, 0, lambda part: None)
    assert np.array_equal(image[:, :, 2], image[:, :, 6]) == shared
    assert np.ptp(image[:, :, 2]) > 0.1
    assert not image[:, :, [0, 1, 7, 8]].any()


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_temperature_scales_the_noise_at_the_start(spatial_dims: int) -> None:
    mask = np.ones((8, 12, 8), bool)
    source = np.full(mask.shape, 0.5, np.float32)

    def change(temperature: float) -> np.ndarray:
        drawing = translator(Noisy(spatial_dims), SamplingOptions(temperature=temperature)).sampler
        return drawing.sample(source, mask, 5, lambda part: None)[0] - source

    assert change(1).std() > 0.02
    np.testing.assert_allclose(change(0.25), change(1) / 4, atol=1e-6)
    assert not change(0).any()


class Scaled(Noisy):
    """Multiply by a convolution, which autocast runs in bfloat16."""

    def forward(
        self, batch: dict[str, Tensor], noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        image = super().forward(batch, noise, generator)
        return F.conv2d(image, torch.full((1, 1, 1, 1), 1 / 3))


def test_bf16_rounds_and_is_told(ras: Volume) -> None:
    drawn = {}
    for precision in ("32-true", "bf16-mixed"):
        maker = translator(Scaled(2), SamplingOptions(precision=precision))
        drawn[precision] = maker.translate(ras, seed=3).mean.data
        assert drawn[precision].dtype == np.float32
        assert maker.describe().get("Precision", "32-true") == precision
    difference = np.abs(drawn["32-true"] - drawn["bf16-mixed"]).max()
    assert 1e-5 < difference < 2**-8


def test_axes_are_padded_to_the_factor() -> None:
    stage = Noisy(3)
    mask = np.ones((10, 15, 9), bool)
    image, _ = translator(stage).sampler.sample(
        np.full(mask.shape, 0.5, np.float32), mask, 0, lambda part: None
    )
    assert image.shape == (10, 15, 9)
    assert stage.batches == [(1, 1, 12, 16, 12)]


def test_context_slices_stand_on_both_sides() -> None:
    ramp = np.broadcast_to(np.arange(6, dtype=np.float32) ** 2 / 25, (4, 5, 6))
    mask = np.ones((4, 5, 6), bool)
    image, _ = translator(Context(2)).sampler.sample(ramp, mask, 0, lambda part: None)
    z = np.arange(6)
    expected = (ramp[0, 0, np.maximum(z - 1, 0)] + ramp[0, 0, np.minimum(z + 1, 5)]) / 2
    np.testing.assert_allclose(image[2, 3], expected, atol=1e-6)


def test_samples_are_averaged(ras: Volume) -> None:
    machine = translator(Noisy(2), SamplingOptions(samples=3))
    mask = np.ones((8, 12, 5), bool)
    source = np.full(mask.shape, 0.5, np.float32)
    mean, std = machine.sampler.sample(source, mask, 10, lambda part: None)
    single = translator(Noisy(2)).sampler
    seeds = [stream(10, k) for k in range(3)]
    draws = [single.sample(source, mask, seed, lambda part: None)[0] for seed in seeds]
    np.testing.assert_allclose(mean, np.mean(draws, axis=0), atol=1e-6)
    np.testing.assert_allclose(std, np.std(draws, axis=0, ddof=1), atol=1e-6)
    result = machine.translate(ras)
    assert result.std is not None
    assert result.std.data.max() > 0.01


@pytest.mark.parametrize(("spatial_dims", "batches"), [(2, 3), (3, 1)])
def test_draws_share_what_is_prepared_and_progress_goes_up(spatial_dims: int, batches: int) -> None:
    stage, parts = Noisy(spatial_dims), list[float]()
    drawing = translator(stage, SamplingOptions(samples=4), batch_size=4).sampler
    mask = np.ones((8, 12, 9), bool)
    drawing.sample(np.full(mask.shape, 0.5, np.float32), mask, 0, parts.append)
    assert stage.prepared_batches == batches
    assert len(stage.batches) == len(parts) == 4 * batches
    assert parts == sorted(parts)
    assert parts[-1] == 1


def test_neighbouring_seeds_share_no_draw() -> None:
    streams = {stream(seed, k) for seed in range(20) for k in range(8)}
    assert len(streams) == 160
    assert all(0 <= seed < 2**63 for seed in streams)
    assert stream(7, 0) == 7


@pytest.mark.parametrize("noise_turn", [0, 4])
def test_noise_on_the_way_turns_with_the_slices_whatever_the_batch(noise_turn: int) -> None:
    mask = np.ones((8, 12, 5), bool)
    source = np.full(mask.shape, 0.5, np.float32)

    def draw_with(fresh: float, batch_size: int) -> np.ndarray:
        draws = SamplingOptions(noise_turn=noise_turn)
        drawing = translator(Noisy(2, fresh=fresh), draws, batch_size=batch_size).sampler
        return drawing.sample(source, mask, 3, lambda part: None)[0]

    start, whole, parts = draw_with(0.0, 5), draw_with(0.05, 5), draw_with(0.05, 2)
    np.testing.assert_array_equal(whole, parts)
    on_the_way = whole - start
    assert on_the_way.std() > 0.04
    changes = np.abs(np.diff(on_the_way, axis=2)).max(axis=(0, 1))
    assert (changes < 1e-6).all() if noise_turn == 0 else (changes > 0.01).all()


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_equal_draws_have_no_deviation(ras: Volume, spatial_dims: int) -> None:
    result = translator(Identity(spatial_dims), SamplingOptions(samples=3)).translate(ras)
    assert result.std is not None
    assert result.std.data.max() == 0
    assert translator(Identity(spatial_dims)).translate(ras).std is None


def test_given_mask_bounds_the_brain(ras: Volume) -> None:
    skull = Volume(ras.data + 50, ras.affine)
    brain = ras.data > 0
    with pytest.raises(MrcontrastError, match="skull-stripped"):
        translator(Identity(2)).translate(skull)
    giant = Volume(ras.data, np.diag([3.0, 3.0, 3.0, 1.0]) @ ras.affine)  # air, and a head
    with pytest.raises(MrcontrastError, match=r"skull-stripped volume, got \d{4,} ml"):
        translator(Identity(2)).translate(giant)
    result = translator(Identity(2)).translate(skull, brain)
    assert not result.mean.data[~brain].any()
    deep = ndimage.binary_erosion(brain, iterations=2)
    assert result.mean.data[deep].min() > 0


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_prepared_volume_is_taken_as_it_is(tiny_records: list[Record], spatial_dims: int) -> None:
    record = tiny_records[4]
    flair = read_volume(record.images["flair"])
    mask = read_mask(record.brain_mask, flair)
    grid = ModelGrid(record.spacing_mm, record.shape)
    machine = StageTranslator(Identity(spatial_dims), grid, NORMALISER)
    result = machine.translate_prepared(flair, mask)
    np.testing.assert_array_equal(result.mean.data, flair.data * mask)
    np.testing.assert_array_equal(result.mean.affine, flair.affine)
    assert result.normaliser is None


def test_prepared_volume_of_another_spacing_is_refused(tiny_records: list[Record]) -> None:
    flair = read_volume(tiny_records[0].images["flair"])
    with pytest.raises(MrcontrastError, match=r"RAS at 3 mm, got RAS at 5 mm"):
        translator(Identity(2)).translate_prepared(flair, flair.data > 0)


class Mean(Identity):
    """Return the mean of two sources, or of the middle slices of both."""

    def forward(
        self, batch: dict[str, Tensor], noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        first, second = batch["source"].chunk(2, dim=1)
        middle = first.shape[1] // 2
        return (first[:, middle] + second[:, middle]).unsqueeze(1) / 2


@pytest.mark.parametrize(("spatial_dims", "context"), [(2, 0), (2, 1), (3, 0)])
def test_several_sources_are_given_together(
    volume: Volume, spatial_dims: int, context: int
) -> None:
    """Each is normalised by itself; the result is on the grid of the first."""
    stage = Mean(spatial_dims, context_slices=context)
    normalisers = {name: PercentileNormaliser(0, 100) for name in ("flair", "t2w")}
    both = StageTranslator(stage, GRID, normalisers)
    second = replace(volume, data=np.where(volume.data > 0, 5000 - 3 * volume.data, 0))
    alone = [
        StageTranslator(Identity(spatial_dims), GRID, {"flair": PercentileNormaliser(0, 100)})
        .translate(each, volume.data > 0)
        .mean.data
        for each in (volume, second)
    ]
    result = both.translate([volume, second], volume.data > 0)
    np.testing.assert_allclose(result.mean.data, sum(alone) / 2, atol=1e-5)
    assert result.normaliser is not None
    assert set(result.normaliser) == {"flair", "t2w"}
    with pytest.raises(UsageError, match="a volume of each of flair, t2w, got 1"):
        both.translate(volume)
    flat = replace(volume, data=np.full_like(volume.data, 7))
    with pytest.raises(MrcontrastError, match="T2w: Expected intensities that vary"):
        both.translate([volume, flat], volume.data > 0)


def test_stage_may_take_t1w(ras: Volume) -> None:
    machine = translator(Identity(2, takes="target"))
    assert list(machine.source) == ["flair"]  # the names of its normalisers
    assert machine.target == "t1w"
    assert machine.translate(ras).mean.data.max() > 0.9


@pytest.mark.parametrize(("spatial_dims", "samples"), [(2, 1), (3, 1), (2, 2)])
def test_progress_rises_to_one(ras: Volume, spatial_dims: int, samples: int) -> None:
    parts: list[float] = []
    machine = translator(Identity(spatial_dims), SamplingOptions(samples=samples))
    machine.progress = parts.append
    machine.translate(ras)
    assert parts == sorted(parts)
    assert parts[0] > 0
    assert parts[-1] == pytest.approx(1.0)


def test_nan_of_the_model_is_refused(ras: Volume) -> None:
    class Broken(Identity):
        def forward(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
            return batch["source"] * float("nan")

    with pytest.raises(MrcontrastError, match="got NaN"):
        translator(Broken(2)).translate(ras)


def test_lack_of_memory_is_one_line(ras: Volume) -> None:
    class Huge(Identity):
        def forward(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 9 TiB")

    with pytest.raises(MrcontrastError, match="--batch-size") as caught:
        translator(Huge(3)).translate(ras)
    assert "\n" not in str(caught.value)


def test_a_batch_without_slices_is_refused() -> None:
    with pytest.raises(UsageError, match="1 or more slices"):
        translator(Identity(2), batch_size=0)


def test_description_names_sampler_and_steps() -> None:
    described = translator(
        Noisy(2), SamplingOptions(samples=2), identity={"WeightsSHA256": "ab"}
    ).describe()
    sampler = {"Sampler": "Sampler", "Steps": 5, "SamplerSettings": {}}
    noise = {"NoiseTurn": 4, "Temperature": 1.0, "Samples": 2}
    assert described == {"WeightsSHA256": "ab", **sampler, **noise}
    assert "NoiseTurn" not in translator(Noisy(3)).describe()
    assert translator(Identity(2)).describe()["Sampler"] is None


@pytest.mark.parametrize(("start", "told"), [(1.0, {}), (0.9, {"Start": 0.9})])
def test_a_start_is_told_where_it_is_not_noise(start: float, told: dict[str, float]) -> None:
    stage = Noisy(2)
    stage.start = start
    described = translator(stage).describe()
    assert {key: described[key] for key in ("Start",) if key in described} == told


@pytest.mark.parametrize(
    ("sampler", "settings"),
    [
        (DDIM(4, eta=0.3, rho=2.0), {"eta": 0.3, "rho": 2.0, "shift": 1.0}),
        (DDPM(4, data_std=0.5), {"data_std": 0.5, "rho": 1.0, "shift": 1.0}),
    ],
)
def test_another_setting_of_the_sampler_or_guidance_is_another_prediction(
    tmp_path: Path, ras: Volume, sampler: BaseSampler, settings: dict[str, float]
) -> None:
    stage = Noisy(2)
    stage.sampler = sampler  # type: ignore[assignment]
    stage.guidance = 3.0
    facts = translator(stage).describe()
    assert (facts["SamplerSettings"], facts["Guidance"]) == (settings, 3.0)
    files = PredictionFiles(tmp_path / "x.nii.gz")
    write_volume(tmp_path / "source.nii.gz", ras)
    files.write(ras, None, facts, tmp_path / "source.nii.gz")
    assert files.made_by(translator(stage).describe())
    stage.guidance = 2.0
    assert not files.made_by(translator(stage).describe())
    stage.guidance, sampler.shift = 3.0, 2.0
    assert not files.made_by(translator(stage).describe())
    older = {name: facts[name] for name in ("Sampler", "Steps", "Samples")}
    files.write(ras, None, older, tmp_path / "source.nii.gz")
    assert not files.made_by(facts)


def make_run(path: Path) -> RunFolder:
    """Write the run of an intensity look-up that turns x into 1 - x."""
    from omegaconf import OmegaConf

    folder = RunFolder(path)
    target = "mrcontrast.stages.baselines.IntensityLookup"
    stage = {"_target_": target, "levels": 101, "spatial_dims": 2}
    folder.write_config(OmegaConf.create({"stage": stage}))
    sha256 = folder.write_weights({"table": torch.linspace(1, 0, 101)})
    settings = {"name": "percentile-0-100", "clip": True}
    data = {"spacing_mm": 5.0, "shape": [32, 40, 24]}
    data |= {"normaliser_flair": settings, "normaliser_t1w": settings}
    folder.write_provenance({"stage": "baselines", "weights_sha256": sha256, "data": data})
    return folder


def test_run_becomes_a_translator(tmp_path: Path, ras: Volume) -> None:
    folder = make_run(tmp_path / "run")
    machine = from_run(str(folder.path), device="cpu")
    assert machine.grid.spacing_mm == 5.0
    assert machine.grid.shape == (32, 40, 24)
    assert machine.normalisers == {"flair": PercentileNormaliser(0, 100)}
    sha256 = folder.provenance["weights_sha256"]
    assert machine.describe() == {
        "Model": str(folder.path),
        "Stage": "baselines",
        "WeightsSHA256": sha256,
        "Sampler": None,
        "Steps": None,
        "Samples": 1,
    }
    result = machine.translate(ras)
    deep = ndimage.binary_erosion(ras.data > 0, iterations=4)
    correlation = np.corrcoef(result.mean.data[deep], ras.data[deep])[0, 1]
    assert correlation < -0.97


def test_samples_need_a_sampler(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"makes one image.* Leave --samples out"):
        from_run(str(folder.path), SamplingOptions(samples=2), device="cpu")


def test_a_temperature_needs_a_sampler_without_noise_on_its_way(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"Leave --temperature out\.$"):
        from_run(str(folder.path), SamplingOptions(temperature=0.5), device="cpu")
    stage, half = Noisy(2), SamplingOptions(temperature=0.5)
    stage.sampler = DDPM(4)
    with pytest.raises(UsageError, match=r"got DDPM.*--sampler ddim"):
        translator(stage, half)
    stage.sampler = DDIM(4)
    assert translator(stage, half).sampler.options == half


@pytest.mark.parametrize(
    ("sampler", "samples", "expected"),
    [(DDIM(4), 1, 0.5), (DDIM(4), 2, 1.0), (DDPM(4), 1, 1.0), (None, 1, 1.0)],
)
def test_one_sample_has_a_lower_temperature_where_that_is_possible(
    sampler: BaseSampler | None, samples: int, expected: float
) -> None:
    stage = Noisy(2)
    stage.sampler = sampler
    options = SamplingOptions(samples, temperature=None)
    assert translator(stage, options).sampler.options.temperature == expected


def test_the_seed_of_the_options_is_that_of_a_translation(ras: Volume) -> None:
    seeded = translator(Noisy(2), SamplingOptions(seed=7)).translate(ras).mean.data
    np.testing.assert_array_equal(seeded, translator(Noisy(2)).translate(ras, seed=7).mean.data)
    assert not np.array_equal(seeded, translator(Noisy(2)).translate(ras).mean.data)


def test_steps_need_a_sampler(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="Leave --steps out"):
        from_run(str(folder.path), SamplingOptions(steps=4), device="cpu")


def test_a_start_needs_a_controlnet(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="Leave --start out"):
        from_run(str(folder.path), SamplingOptions(start=0.9), device="cpu")


def test_run_without_data_facts_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    provenance = json.loads(folder.provenance_path.read_text())
    del provenance["data"]["normaliser_flair"]
    folder.write_provenance(provenance)
    with pytest.raises(MrcontrastError, match=r"no 'normaliser_flair'.*provenance\.json"):
        from_run(str(folder.path), device="cpu")
