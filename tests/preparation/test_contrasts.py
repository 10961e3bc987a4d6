"""Sources, operators and outputs with contrasts other than FLAIR and T1w."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.commands.prepare import prepare
from mrcontrast.config.build import compose
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.imaging.registration import Registration
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.folders import FolderPairs
from mrcontrast.preparation.operators import (
    CheckAlignment,
    CorrectBias,
    MeasureGeometry,
    Normalise,
    Register,
    ToMni,
)
from mrcontrast.preparation.operators import registration as registering
from mrcontrast.preparation.subject import Subject
from mrcontrast.preparation.table import TablePairs
from mrcontrast.storage.volume import Volume, read_volume, write_labels, write_volume
from mrcontrast.transforms.normalise import MinMaxNormaliser, PercentileNormaliser
from preparation_files import AFFINE, brain, check_hashes, raw_volume

THREE = ["flair", "t2w", "t1w"]


@pytest.fixture
def tree(bids: Path) -> Path:
    """The BIDS tree of three subjects; sub-01 and sub-02 have a T2w and a PDw too."""
    for number, subject in enumerate(("sub-01", "sub-02")):
        for seed, suffix in ((50, "T2w"), (60, "PDw")):
            path = bids / subject / "anat" / f"{subject}_{suffix}.nii.gz"
            write_volume(path, raw_volume(seed + number, 500))
    return bids


def three() -> Subject:
    images = {name: raw_volume(seed, 100.0 * seed) for seed, name in enumerate(THREE, start=1)}
    return Subject(images, brain())


def test_a_session_without_a_contrast_is_dropped_unless_it_is_optional(tree: Path) -> None:
    entries, dropped = BidsPairs(str(tree), THREE).index()
    assert [list(entry.pair.images) for entry in entries] == [THREE, THREE]
    assert "Expected a T2w in the same session" in dropped[0].reason
    entries, dropped = BidsPairs(str(tree), THREE, optional=["t2w"]).index()
    assert [list(entry.pair.images) for entry in entries] == [THREE, THREE, ["flair", "t1w"]]
    assert dropped == []


def test_the_first_contrast_is_the_reference(tree: Path) -> None:
    anat = tree / "sub-01" / "anat"
    mask = np.zeros_like(brain())
    mask[8:12, 8:12, 8:12] = True
    write_labels(anat / "sub-01_desc-brain_mask.nii.gz", mask, AFFINE)
    (anat / "sub-01_FLAIR.nii.gz").rename(anat / "sub-01_acq-2d_FLAIR.nii.gz")
    first = BidsPairs(str(tree), ["t2w", "flair"]).index()[0][0].pair.load()
    assert first.reference == "t2w"
    np.testing.assert_array_equal(first.like.data, raw_volume(50, 500).data)
    assert first.brain_mask.sum() == 64  # that of the T2w
    other = BidsPairs(str(tree), ["flair", "t2w"]).index()[0][0].pair.load()
    assert other.brain_mask is None


def test_a_contrast_outside_the_table_needs_no_python(tree: Path) -> None:
    for subject in ("sub-01", "sub-02"):
        anat = tree / subject / "anat"
        (anat / f"{subject}_T2w.nii.gz").rename(anat / f"{subject}_cest.nii.gz")
    entries, _ = BidsPairs(str(tree), ["cest", "t1w"]).index()
    assert entries[0].pair.images["cest"].name == "sub-01_cest.nii.gz"


def test_each_run_of_all_contrasts_is_a_session(tmp_path: Path) -> None:
    anat = tmp_path / "sub-01" / "anat"
    for suffix in ("FLAIR", "T2w", "T1w"):
        for run in (1, 2) if suffix != "T2w" else (2, 3):
            write_volume(anat / f"sub-01_run-{run}_{suffix}.nii.gz", raw_volume(run, 100))
    source = BidsPairs(str(tmp_path), THREE)
    (entry,) = source.index()[0]
    assert [path.name for path in entry.pair.images.values()] == [
        f"sub-01_run-2_{suffix}.nii.gz" for suffix in ("FLAIR", "T2w", "T1w")
    ]
    assert "sub-01_run-2_T2w.nii.gz is the T2w" in source.remarks[0].text
    assert "sub-01_run-3_T2w.nii.gz" in source.remarks[0].text


def test_folders_and_tables_find_contrasts_by_name(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for name in ("a", "b"):
        for number, contrast in enumerate(THREE):
            if (name, contrast) != ("b", "t2w"):
                write_volume(raw / contrast / f"{name}.nii.gz", raw_volume(number, 100))
    patterns = {"default": "{contrast}/{subject}.nii.gz"}
    entries, dropped = FolderPairs(str(raw), patterns, THREE).index()
    assert [list(entry.pair.images) for entry in entries] == [THREE]
    assert "t2w/b.nii.gz" in dropped[0].reason
    entries, dropped = FolderPairs(str(raw), patterns, THREE, optional=["t2w"]).index()
    assert [list(entry.pair.images) for entry in entries] == [THREE, ["flair", "t1w"]]
    table = tmp_path / "table.tsv"
    table.write_text(
        "subject\tflair\tt2w\tt1w\n"
        "a\traw/flair/a.nii.gz\traw/t2w/a.nii.gz\traw/t1w/a.nii.gz\n"
        "b\traw/flair/b.nii.gz\tn/a\traw/t1w/b.nii.gz\n"
    )
    assert len(TablePairs(str(table), THREE).index()[0]) == 1
    entries, dropped = TablePairs(str(table), THREE, optional=["t2w"]).index()
    assert [list(entry.pair.images) for entry in entries] == [THREE, ["flair", "t1w"]]
    assert dropped == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contrasts": []}, "got none"),
        ({"contrasts": ["flair", "flair"]}, "Expected different names"),
        ({"contrasts": ["T2w"]}, "lower-case letters and digits.*got T2w"),
        ({"contrasts": ["flair", "labels"]}, "got labels"),
        ({"contrasts": ["flair", "mask"]}, "got mask"),
        ({"optional": ["flair"]}, "Expected t1w, got flair"),
        ({"entities": {"t2w": {"acq": "3d"}}}, "got t2w"),
    ],
)
def test_names_that_cannot_be(bids: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BidsPairs(str(bids), **options)


def test_measures_are_named_by_contrast_where_there_are_more_than_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("SimpleITK")
    shift = np.eye(4)
    shift[0, 3] = 3.0
    found = Registration(shift, 0.5, 0.1, 0.0, 3.0)
    monkeypatch.setattr(registering, "register_rigid", lambda *args, **options: found)
    done = Register()(three())
    assert {"register_t2w_metric", "register_t1w_metric"} < set(done.measures)
    assert done.like is not done.images["t2w"]
    assert [round(float(v.affine[0, 3])) for v in done.images.values()] == [28, 25, 25]
    two = replace(three(), images=dict(list(three().images.items())[:2]))
    assert "register_metric" in Register("t2w")(two).measures
    moved = ToMni(contrast="t2w")(three())
    assert {round(float(v.affine[0, 3])) for v in moved.images.values()} == {25}
    assert "t2w_fov_min_mm" in MeasureGeometry()(three()).measures


def test_every_contrast_must_overlay_the_reference() -> None:
    from mrcontrast.phantom import PhantomConfig, make_subject

    drawn = make_subject(3, PhantomConfig(spacing_mm=3.0, anatomy_spacing_mm=3.0), THREE)
    subject = Subject(drawn.images, drawn.brain_mask)
    measures = CheckAlignment()(subject).measures
    assert measures["alignment_t2w_suspicion"] < 1
    assert measures["alignment_t1w_suspicion"] < 1
    affine = drawn.images["t2w"].affine.copy()
    affine[1, 3] += 9
    subject.images["t2w"] = Volume(drawn.images["t2w"].data, affine)
    with pytest.raises(MrcontrastError, match="a T2w that overlays its FLAIR"):
        CheckAlignment()(subject)


def test_each_contrast_has_its_normaliser_or_the_default() -> None:
    named = {"t2w": MinMaxNormaliser(), "default": PercentileNormaliser(1, 99)}
    done = Normalise(named)(three())
    assert [f.name for f in done.normalisers.values()] == [
        "percentile-1-99",
        "percentile-0-100",
        "percentile-1-99",
    ]
    with pytest.raises(UsageError, match="a normaliser of flair, got t2w"):
        Normalise({"t2w": MinMaxNormaliser()})(three())


def test_bias_is_corrected_in_all_contrasts() -> None:
    pytest.importorskip("SimpleITK")
    done = CorrectBias(working_spacing_mm=6.0)(three())
    assert {"flair_bias", "t2w_bias", "t1w_bias"} <= set(done.measures)


def run(out: Path, *overrides: str) -> Manifest:
    assert prepare(compose("prepare", [f"out={out}", *overrides])) == 0
    manifest = Manifest.read(out)
    check_hashes(manifest)
    return manifest


def test_four_contrasts_from_bids_to_disk(tmp_path: Path, tree: Path) -> None:
    manifest = run(
        tmp_path / "out",
        "recipe=bids_pairs",
        f"source={tree}",
        "contrasts=[t2w,flair,pd,t1w]",
        "allow_dropped=true",  # sub-03
        "+recipe.operators.2.drop=false",  # noise does not overlay
        "recipe.grid.spacing_mm=4.0",
        "recipe.grid.shape=[24,24,24]",
    )
    assert manifest.contrasts == ["t2w", "flair", "pd", "t1w"]
    record = manifest.records[0]
    assert [path.name for path in record.images.values()] == [
        f"sub-01_{suffix}.nii.gz" for suffix in ("T2w", "FLAIR", "PDw", "T1w")
    ]
    assert set(record.raw) == set(record.normalisers) == set(record.sha256) == set(record.images)
    assert "Mask on T2w" in (tmp_path / "out" / "sessions" / "sub-01.json").read_text()
    assert "PDw edges on T2w, axial" in (tmp_path / "out" / "quality.html").read_text()


def test_an_optional_contrast_is_absent_in_the_manifest(tmp_path: Path, tree: Path) -> None:
    manifest = run(
        tmp_path / "out",
        "recipe=bids_pairs",
        f"source={tree}",
        "contrasts=[flair,t2w,t1w]",
        "recipe.sources.0.optional=[t2w]",
        "+recipe.operators.2.drop=false",
        "recipe.grid.spacing_mm=4.0",
        "recipe.grid.shape=[24,24,24]",
    )
    assert [list(record.images) for record in manifest.records] == [
        THREE,
        THREE,
        ["flair", "t1w"],
    ]


def test_phantoms_of_the_contrasts_of_the_command(tmp_path: Path) -> None:
    manifest = run(
        tmp_path / "out",
        "recipe=phantom",
        "contrasts=[flair,t2w,pd,t1w]",
        "recipe.sources.0.num_subjects=2",
        "recipe.sources.0.config.anatomy_spacing_mm=3.0",
        "recipe.split.train=0.5",
        "recipe.split.val=0.0",
        "recipe.split.test=0.5",
    )
    record = manifest.records[0]
    labels = read_volume(record.labels).data
    medians = {
        name: [float(np.median(read_volume(path).data[labels == k])) for k in (1, 2, 3)]
        for name, path in record.images.items()
    }
    for name in ("t2w", "pd"):
        assert medians[name][1] > medians[name][2]  # grey above white
    assert medians["t2w"][0] > medians["t2w"][1]
    assert record.tags["t2w_te_ms"] > 80 > 20 > record.tags["pd_te_ms"]
