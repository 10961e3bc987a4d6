import os
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from mrcontrast.commands.prepare import prepare, recipe_of_today
from mrcontrast.config.build import build, compose
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_volume

SHAPE = (20, 26, 22)
COARSE = [
    "recipe=phantom",
    "recipe.sources.0.num_subjects=3",
    "recipe.sources.0.config.anatomy_spacing_mm=6.0",
    "recipe.grid.spacing_mm=6.0",
    "recipe.grid.shape=[32,40,36]",
]


@pytest.fixture
def real_data() -> Path:
    source = os.environ.get("MRCONTRAST_REAL_DATA")
    if not source:
        pytest.skip("MRCONTRAST_REAL_DATA does not name the folder of openms-mni and mslesseg-mni")
    return Path(source)


def write_folder_pairs(root: Path, names: tuple[str, ...]) -> Path:
    for seed, name in enumerate(names):
        for kind in ("flair", "t1w"):
            data = np.zeros(SHAPE, np.float32)
            data[4:16, 4:22, 4:18] = np.random.default_rng(seed).uniform(1, 2, (12, 18, 14))
            write_volume(root / kind / f"{name}.nii.gz", Volume(data, np.diag([4.0, 4, 4, 1])))
    return root


def test_phantom_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(compose("prepare", [*COARSE, f"out={tmp_path / 'out'}"])) == 0
    manifest = Manifest.read(tmp_path / "out")
    assert [record.subject for record in manifest.records] == ["sub-0000", "sub-0001", "sub-0002"]
    for record in manifest.records:
        flair = read_volume(record.images["flair"])
        assert flair.shape == (32, 40, 36)
        assert record.labels is not None
        labels = read_volume(record.labels).data
        assert set(np.unique(labels)) <= {0, 1, 2, 3, 4}
        mask = read_mask(record.brain_mask, flair)
        assert (labels[mask] > 0).mean() > 0.95
        assert record.tags["field_strength_t"] in (1.5, 3.0)
    captured = capsys.readouterr()
    assert captured.out == (
        "3 sessions (train 2, val 0, test 1) at 6 mm, 32x40x36 "
        f"in {tmp_path / 'out'}: newly prepared\n"
    )
    assert captured.err.count("prepared sub-") == 3
    before, _, after = captured.err.partition("prepared sub-0000")
    assert "the validation split is empty for 3 subjects" in before
    assert "the validation split is empty for 3 subjects" in after
    stored = OmegaConf.load(tmp_path / "out" / "recipe.yaml")
    assert stored.sources[0].config.spacing_mm == 6.0  # resolved


def test_a_data_set_to_test_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = "+recipe.split={_target_: mrcontrast.data.further_splits.TestOnly}"
    overrides = [*COARSE, f"out={tmp_path / 'out'}", "~recipe.split", split]
    assert prepare(compose("prepare", overrides)) == 0
    assert len(Manifest.read(tmp_path / "out").split("test")) == 3
    assert "validation" not in capsys.readouterr().err


def test_folder_pairs_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_folder_pairs(tmp_path / "raw", ("a", "b", "c"))
    overrides = ["recipe=folder_pairs", f"source={source}", f"out={tmp_path / 'out'}"]
    assert prepare(compose("prepare", overrides)) == 0
    (source / "t1w" / "b.nii.gz").unlink()
    assert prepare(compose("prepare", overrides)) == 1
    assert "dropped sub-b by FolderPairs: " in capsys.readouterr().err
    assert len(Manifest.read(tmp_path / "out").records) == 2
    assert prepare(compose("prepare", [*overrides, "allow_dropped=true"])) == 0


def test_another_recipe_does_not_overwrite(tmp_path: Path) -> None:
    source = write_folder_pairs(tmp_path / "raw", ("a", "b"))
    overrides = ["recipe=folder_pairs", f"source={source}", f"out={tmp_path / 'out'}"]
    prepare(compose("prepare", overrides))
    before = Manifest.read(tmp_path / "out").data_hash
    with pytest.raises(UsageError, match="another recipe"):
        prepare(compose("prepare", [*overrides, "recipe.normalisers.default.upper=99"]))
    assert Manifest.read(tmp_path / "out").data_hash == before


def test_another_split_keeps_the_sessions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COARSE, f"out={tmp_path / 'out'}"]
    prepare(compose("prepare", command))
    first = Manifest.read(tmp_path / "out")
    (tmp_path / "out" / "sub-0001" / "anat" / "mine.txt").write_text("mine")
    capsys.readouterr()
    third = "recipe.split.val=0.33"
    sizes = ["recipe.split.train=0.34", third, "recipe.split.test=0.33"]
    assert prepare(compose("prepare", [*command, *sizes])) == 0
    second = Manifest.read(tmp_path / "out")
    assert second.data_hash == first.data_hash
    assert second.split_hash != first.split_hash
    assert [len(second.split(side)) for side in ("train", "val", "test")] == [1, 1, 1]
    captured = capsys.readouterr()
    assert captured.err.count("reused sub-") == 3
    assert "moved to another split" in captured.err
    assert (tmp_path / "out" / "sub-0001" / "anat" / "mine.txt").read_text() == "mine"
    with pytest.raises(UsageError, match=r"fractions that sum to 1 .* 0\.9"):
        prepare(compose("prepare", [*command, "recipe.split.val=0.9"]))
    assert "sub-" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["recipe=phantom", "out="], "an empty name"),
        (["recipe=phantom", "out=."], "the current folder"),
        (["recipe=bids_pairs", "out=x"], "source=FOLDER"),
        (["recipe=bids_pairs", "source=/nowhere/at/all", "out=x"], "/nowhere/at/all"),
        (["recipe=phantom"], "out=FOLDER"),
        (["recipe=phantom", "out=x", "workers=0"], "workers >= 1"),
        (
            ["recipe=bids_pairs", "source=.", "out=x", "recipe.grid.spacing_mm=-1"],
            "positive spacing_mm",
        ),
    ],
)
def test_usage_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        prepare(compose("prepare", overrides))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("recipe", ["phantom", "bids_pairs", "folder_pairs", "openms"])
def test_every_recipe_builds(tmp_path: Path, recipe: str) -> None:
    for name in ("openms-mni", "mslesseg-mni"):
        (tmp_path / name).mkdir()
    config = compose("prepare", [f"recipe={recipe}", f"source={tmp_path}", "out=x"])
    operators = [type(operator).__name__ for operator in build(config.recipe).operators]
    assert operators[-3:] == ["ToGrid", "Normalise", "MeasureVolumes"]
    assert "BrainMask" in operators


@pytest.mark.realdata
def test_openms_at_3_mm(tmp_path: Path, real_data: Path) -> None:
    overrides = ["recipe=openms", f"source={real_data}", f"out={tmp_path / 'out'}"]
    assert prepare(compose("prepare", [*overrides, "recipe.grid.spacing_mm=3.0"])) == 0
    manifest = Manifest.read(tmp_path / "out")
    sides = {record.subject: (record.split, record.site) for record in manifest.records}
    assert sides == {
        "sub-07": ("train", "openms-mni"),
        "sub-19": ("test", "openms-mni"),
        "sub-P18": ("train", "mslesseg-mni"),
    }
    assert manifest.split("val") == []
    for record in manifest.records:
        flair, t1w = read_volume(record.images["flair"]), read_volume(record.images["t1w"])
        mask = read_mask(record.brain_mask, flair)
        assert 1000 < record.measures["brain_ml"] < 2000
        assert record.lesion_mask is not None
        assert flair.data[~mask].max() == t1w.data[~mask].max() == 0
        # the top of the head is narrower than its middle: the brain stands upright
        width = mask.any(axis=1).sum(axis=0)
        top, middle = width[mask.any(axis=(0, 1))][-3], width.max()
        assert top < 0.8 * middle
        assert np.corrcoef(flair.data[mask], t1w.data[mask])[0, 1] > 0.4


@pytest.mark.realdata
def test_raw_scans_on_different_grids_are_refused(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [f"source={real_data / 'openms-raw'}", f"out={tmp_path / 'out'}"]
    with pytest.raises(MrcontrastError, match="got 4 faulty"):
        prepare(compose("prepare", ["recipe=bids_pairs", *overrides]))
    assert "dropped sub-01_ses-2 by FilePair" in capsys.readouterr().err


def test_keys_of_earlier_recipes_are_renamed_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    percentiles = {"_target_": "mrcontrast.transforms.normalise.PercentileNormaliser"}
    room = "mrcontrast.preparation"
    old = {
        "_target_": f"{room}.recipe.Recipe",
        "sources": [
            {
                "_target_": f"{room}.bids.BidsPairs",
                "root": str(tmp_path),
                "pattern": "*_acq-3d_FLAIR.nii*",
                "t1w_entities": {"acq": "mprage"},
            },
            {
                "_target_": f"{room}.folders.FolderPairs",
                "root": str(tmp_path),
                "flair": "f/{subject}.nii",
                "t1w": "t/{subject}.nii",
                "brain_mask": None,
            },
        ],
        "operators": [
            {"_target_": f"{room}.operators.Register", "moving": "flair"},
            {
                "_target_": f"{room}.operators.Normalise",
                "flair": "${recipe.normaliser_flair}",
                "t1w": "${recipe.normaliser_t1w}",
            },
        ],
        "normaliser_flair": percentiles,
        "normaliser_t1w": percentiles | {"upper": 99.9},
    }
    config = compose("prepare", [f"out={tmp_path / 'out'}"])
    config.recipe = old
    today = OmegaConf.to_container(recipe_of_today(config))
    assert today["sources"][0] == {
        "_target_": f"{room}.bids.BidsPairs",
        "root": str(tmp_path),
        "patterns": {"flair": "*_acq-3d_FLAIR.nii*"},
        "entities": {"t1w": {"acq": "mprage"}},
        "contrasts": ["flair", "t1w"],
    }
    patterns = {"flair": "f/{subject}.nii", "t1w": "t/{subject}.nii", "brain_mask": None}
    assert today["sources"][1]["patterns"] == patterns
    assert today["operators"][0] == {"_target_": f"{room}.operators.Register", "fixed": "t1w"}
    normalisers = {"flair": percentiles, "t1w": percentiles | {"upper": 99.9}}
    assert today["operators"][1]["normalisers"] == today["normalisers"] == normalisers
    assert not {"normaliser_flair", "normaliser_t1w"} & set(today)
    (hint,) = capsys.readouterr().err.splitlines()
    assert hint.startswith("hint: pattern, t1w_entities, flair, t1w, brain_mask, moving")
    recipe_of_today(compose("prepare", [f"out={tmp_path / 'out'}"]))
    assert capsys.readouterr().err == ""
