"""The shipped recipes on trees that are named as their data sets are."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.commands.prepare import prepare
from mrcontrast.config.build import compose
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.errors import UsageError
from mrcontrast.preparation.operators import CorrectBias, Register, SkullStrip
from mrcontrast.storage.volume import Volume, read_volume, write_labels, write_volume
from preparation_files import check_hashes

SHAPE = (50, 60, 44)
AFFINE = np.array([[-3.0, 0, 0, 75], [0, -3.0, 0, 90], [0, 0, 3, -60], [0, 0, 0, 1]])  # LPS


def anatomy(seed: int, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, ...]:
    """Return a FLAIR and a T1w of one anatomy, its brain and a lesion."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    brain = sum((axis / 0.8) ** 2 for axis in axes) < 1
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 1.7)
    tissue = np.digitize(field / field.std(), [-0.6, 0.5])
    flair = np.choose(tissue, [40.0, 300, 240]) + rng.normal(0, 8, shape)
    t1w = np.choose(tissue, [90.0, 420, 640]) + rng.normal(0, 15, shape)
    places = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2
    lesion = brain & ((places**2).sum(axis=0) < 9)
    return flair.clip(1), t1w.clip(1), brain, lesion


def run(*overrides: str) -> list[Record]:
    assert prepare(compose("prepare", list(overrides))) == 0
    out = next(word for word in overrides if word.startswith("out="))
    manifest = Manifest.read(out.removeprefix("out="))
    check_hashes(manifest)
    return manifest.records


def test_brats_of_both_times(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    times = {
        "BraTS2021_00002": ("_flair", "_t1", "_seg"),
        "BraTS-GLI-00008-000": ("-t2f", "-t1n", "-seg"),
        "BraTS-GLI-00008-001": ("-t2f", "-t1n", "-seg"),
    }
    for seed, (name, (flair_end, t1w_end, seg_end)) in enumerate(times.items()):
        flair, t1w, brain, lesion = anatomy(seed)
        for end, data in ((flair_end, flair), (t1w_end, t1w), ("_t1ce", t1w), ("-t1c", t1w)):
            write_volume(raw / name / f"{name}{end}.nii.gz", Volume(data * brain, AFFINE))
        write_labels(raw / name / f"{name}{seg_end}.nii.gz", lesion * 3, AFFINE)
    records = run(
        "recipe=brats",
        f"source={raw}",
        f"out={tmp_path / 'out'}",
        "recipe.grid.spacing_mm=3.0",
        "recipe.grid.shape=[48,56,48]",
    )
    assert [(record.name, record.site) for record in records] == [
        ("sub-BraTS202100002", "brats2021"),
        ("sub-BraTSGLI00008_ses-000", "brats2023"),
        ("sub-BraTSGLI00008_ses-001", "brats2023"),
    ]
    assert len({record.split for record in records if "GLI" in record.name}) == 1
    assert all(record.measures["lesion_ml"] > 0 for record in records)
    assert all(record.measures["alignment_suspicion"] <= 1 for record in records)
    assert records[0].tags["flair_spacing_mm"] == [3.0, 3.0, 3.0]
    flair = read_volume(records[0].images["flair"])
    assert flair.orientation == "RAS"
    raw_flair = anatomy(0)[0] * anatomy(0)[2]
    fitted = records[0].normalisers["flair"]
    # as distributed: the grid lies on the raw voxels, so that no value is interpolated
    inside = read_volume(records[0].brain_mask).data > 0
    values = flair.data[inside] * (fitted["high"] - fitted["low"]) + fitted["low"]
    kept = (flair.data[inside] > 0) & (flair.data[inside] < 1)
    nearest = np.sort(raw_flair.astype(np.float32).ravel())
    at = np.searchsorted(nearest, values[kept]).clip(1, nearest.size - 1)
    gap = np.minimum(np.abs(nearest[at] - values[kept]), np.abs(nearest[at - 1] - values[kept]))
    assert gap.max() < 1e-2


def test_five_slices_of_uk_biobank(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shape, affine = (24, 30, 20), np.diag([4.0, 4, 4, 1])
    for seed in range(4):
        flair, t1w, brain, _ = anatomy(seed, shape)
        name = f"sub-100000{seed}_ses-2"
        anat = raw / f"sub-100000{seed}" / "ses-2" / "anat"
        write_volume(anat / f"{name}_FLAIR.nii.gz", Volume(flair, affine))  # with its head
        write_volume(anat / f"{name}_T1w.nii.gz", Volume(t1w, affine))
        write_labels(anat / f"{name}_desc-brain_mask.nii.gz", brain, affine)
    (raw / "participants.tsv").write_text("participant_id\tage\tsex\nsub-1000001\t63\tMale\n")
    records = run(
        "recipe=ukb_warvito2023",
        f"source={raw}",
        f"out={tmp_path / 'out'}",
        "recipe.operators.3.first=[2,3,8]",
        "recipe.operators.3.shape=[20,24,5]",
        "recipe.grid.shape=[20,24,5]",
        "recipe.grid.spacing_mm=4.0",
        "recipe.split.train=2",
        "recipe.split.val=1",
    )
    assert sorted(record.split for record in records) == ["test", "train", "train", "val"]
    assert {record.site for record in records} == {"ukb"}
    assert records[1].tags["age"] == 63
    assert records[1].tags["sex"] == "M"
    flair, _, brain, _ = anatomy(0, shape)
    block = (slice(2, 22), slice(3, 27), slice(8, 13))
    slab = flair[block].astype(np.float32)
    expected = (slab - slab.min()) / (slab.max() - slab.min()) * brain[block]
    done = read_volume(records[0].images["flair"])
    np.testing.assert_allclose(done.data, expected, atol=1e-6)
    np.testing.assert_allclose(done.affine[:3, 3], (8, 12, 32))
    assert records[0].normalisers["t1w"]["name"] == "volume-0-100"


def test_pairs_that_do_not_overlay_are_dropped_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    for seed in range(3):
        flair, t1w, brain, _ = anatomy(seed)
        shift = 3 if seed == 1 else 0  # 9 mm
        write_volume(raw / "flair" / f"{seed}.nii.gz", Volume(flair * brain, AFFINE))
        moved = np.roll(t1w * brain, shift, axis=1)
        write_volume(raw / "t1w" / f"{seed}.nii.gz", Volume(moved, AFFINE))
    overrides = ["recipe=folder_pairs", f"source={raw}", f"out={tmp_path / 'out'}"]
    assert prepare(compose("prepare", overrides)) == 1
    row = (tmp_path / "out" / "dropped.tsv").read_text().splitlines()[1].split("\t")
    assert row[:3] == ["sub-1", "CheckAlignment", "alignment_suspicion"]
    assert float(row[3]) > 1
    assert row[4] == "<= 1"
    page = (tmp_path / "out" / "quality.html").read_text()
    assert "left out by CheckAlignment" in page
    assert page.count("<img src=") == 15  # five pictures of each, of the dropped one too
    assert "1 left out, see dropped.tsv" in capsys.readouterr().err


@pytest.mark.slow
def test_whole_brains_in_mni_space(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    from mrcontrast.phantom import PhantomConfig, make_subject

    raw = tmp_path / "raw"
    for seed in range(2):
        drawn = make_subject(seed, PhantomConfig(spacing_mm=3.0, anatomy_spacing_mm=1.5))
        affine = drawn.images["flair"].affine.copy()
        affine[:3, 3] += (12, -9, 7)  # the scanner's origin is not the template's
        anat = raw / f"sub-{seed}" / "anat"
        write_volume(anat / f"sub-{seed}_FLAIR.nii.gz", Volume(drawn.images["flair"].data, affine))
        write_volume(anat / f"sub-{seed}_T1w.nii.gz", Volume(drawn.images["t1w"].data, affine))
        write_labels(anat / f"sub-{seed}_desc-brain_mask.nii.gz", drawn.brain_mask, affine)
    records = run(
        "recipe=pinaya2022_3d",
        f"source={raw}",
        f"out={tmp_path / 'out'}",
        "recipe.grid.spacing_mm=3.0",
        "recipe.grid.shape=[56,80,64]",
    )
    affines = [read_volume(record.images["t1w"]).affine for record in records]
    np.testing.assert_array_equal(affines[0], affines[1])
    masks = [read_volume(record.brain_mask).data > 0 for record in records]
    dice = 2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum())
    assert dice > 0.85
    for record, mask in zip(records, masks, strict=True):
        centre = affines[0][:3, :3] @ np.argwhere(mask).mean(axis=0) + affines[0][:3, 3]
        assert np.abs(centre - (0, -20, 10)).max() < 8  # of the template's brain
        assert record.measures["mni_scale"] == pytest.approx(1, abs=1e-3)


def test_a_missing_package_is_told_before_any_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for operator in (Register, CorrectBias, SkullStrip):
        with pytest.raises(
            UsageError, match=rf"for {operator.__name__}, got none\. Run pip install"
        ):
            operator()
