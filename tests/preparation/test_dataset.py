import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.dataset import Prepared, prepare_dataset
from mrcontrast.preparation.operators import CheckHeader
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_volume
from mrcontrast.transforms.grid import ModelGrid
from preparation_files import check_hashes

MakeRecipe = Callable[..., Recipe]
TEXT = "recipe: test\n"


def run(recipe: Recipe, out: Path, num_workers: int = 1) -> tuple[Prepared, list[str]]:
    lines: list[str] = []
    made = prepare_dataset(recipe, out, TEXT, num_workers, lines.append)
    return made, [line for line in lines if not line.startswith("warning: the validation split")]


def flair_of(bids: Path, subject: str) -> Path:
    return bids / subject / "anat" / f"{subject}_FLAIR.nii.gz"


def t1w_of(bids: Path, subject: str) -> Path:
    return bids / subject / "anat" / f"{subject}_T1w.nii.gz"


def rewrite(path: Path, data: np.ndarray | None = None, affine: np.ndarray | None = None) -> None:
    image = nib.load(path)
    data = image.get_fdata() if data is None else data
    nib.save(nib.Nifti1Image(data, image.affine if affine is None else affine), path)


def test_what_lies_on_disk(tmp_path: Path, bids: Path, make_recipe: MakeRecipe) -> None:
    before = {path: sha256_file(path) for path in bids.rglob("*.nii.gz")}
    prepared, lines = run(make_recipe(BidsPairs(str(bids))), tmp_path / "out")
    assert lines == ["prepared sub-01", "prepared sub-02", "prepared sub-03"]
    assert prepared.dropped == []
    manifest = Manifest.read(tmp_path / "out")
    assert manifest.records == prepared.manifest.records
    check_hashes(manifest)
    assert sorted(record.split for record in manifest.records) == ["test", "train", "train"]
    for record in manifest.records:
        assert record.raw.get("flair") == flair_of(bids, record.subject)
        assert record.raw.get("t1w") == t1w_of(bids, record.subject)
        assert record.raw.get("mask") is None
        flair, t1w = read_volume(record.images["flair"]), read_volume(record.images["t1w"])
        mask = read_mask(record.brain_mask, flair)
        for volume in (flair, t1w):
            assert volume.shape == record.shape == (16, 24, 20)
            assert volume.orientation == "RAS"
            np.testing.assert_allclose(volume.spacing_mm, 4.0)
            assert not volume.data[~mask].any()
            assert volume.data.min() == 0
            assert volume.data.max() == 1
        assert record.normalisers["t1w"]["high"] > 2 * record.normalisers["flair"]["high"]
        assert record.measures["brain_ml"] == pytest.approx(mask.sum() * 0.064, abs=1e-3)
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "mrcontrast"
    assert (tmp_path / "out" / "recipe.yaml").read_text() == TEXT
    assert (tmp_path / "out" / "dropped.tsv").read_text().splitlines() == [
        "item\toperator\tmeasure\tvalue\tthreshold\treason"
    ]
    assert {path: sha256_file(path) for path in bids.rglob("*.nii.gz")} == before


def test_two_workers_make_the_same_data(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    one, _ = run(recipe, tmp_path / "one", num_workers=1)
    two, lines = run(recipe, tmp_path / "two", num_workers=2)
    assert two.manifest.data_hash == one.manifest.data_hash
    assert two.manifest.split_hash == one.manifest.split_hash
    assert lines == ["prepared sub-01", "prepared sub-02", "prepared sub-03"]


def test_a_second_run_replaces_the_first(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    first, _ = run(recipe, tmp_path / "out")
    second, _ = run(recipe, tmp_path / "out")
    assert second.manifest.data_hash == first.manifest.data_hash
    rewrite(flair_of(bids, "sub-01"), nib.load(flair_of(bids, "sub-02")).get_fdata())
    assert run(recipe, tmp_path / "out")[0].manifest.data_hash != first.manifest.data_hash


def truncate(bids: Path) -> str:
    path = flair_of(bids, "sub-02")
    path.write_bytes(path.read_bytes()[:-400])
    return "truncated or damaged"


def stack(bids: Path) -> str:
    data = nib.load(flair_of(bids, "sub-02")).get_fdata()
    rewrite(flair_of(bids, "sub-02"), np.stack([data, data], axis=-1))
    return "20x26x22x2"


def blank(bids: Path) -> str:
    rewrite(t1w_of(bids, "sub-02"), np.zeros((20, 26, 22)))
    return "only zeros"


def poison(bids: Path) -> str:
    data = nib.load(t1w_of(bids, "sub-02")).get_fdata()
    data[0, 0, 0] = np.nan
    rewrite(t1w_of(bids, "sub-02"), data)
    return "1 NaN"


def crop(bids: Path) -> str:
    rewrite(t1w_of(bids, "sub-02"), nib.load(t1w_of(bids, "sub-02")).get_fdata()[:-1])
    return "20x26x22 and 19x26x22"


def shift(bids: Path) -> str:
    affine = nib.load(t1w_of(bids, "sub-02")).affine.copy()
    affine[2, 3] += 2
    rewrite(t1w_of(bids, "sub-02"), affine=affine)
    return "corners 2 mm apart"


def remove(bids: Path) -> str:
    t1w_of(bids, "sub-02").unlink()
    return "got none"


def with_head(bids: Path) -> str:
    rewrite(flair_of(bids, "sub-02"), np.random.default_rng(0).uniform(1, 2, (20, 26, 22)))
    return "skull-stripped"


@pytest.mark.parametrize("spoil", [truncate, stack, blank, poison, crop, shift, remove, with_head])
def test_a_faulty_pair_is_dropped_with_its_reason(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe, spoil: Callable[[Path], str]
) -> None:
    reason = spoil(bids)
    prepared, lines = run(make_recipe(BidsPairs(str(bids))), tmp_path / "out")
    assert [record.subject for record in prepared.manifest.records] == ["sub-01", "sub-03"]
    rows = (tmp_path / "out" / "dropped.tsv").read_text().splitlines()
    assert len(rows) == 2
    assert rows[1].startswith("sub-02\t")
    assert reason in rows[1]
    assert str(bids / "sub-02") in rows[1] or spoil is with_head
    assert [line for line in lines if line.startswith("dropped sub-02 by ") and reason in line]
    assert not (tmp_path / "out" / "sub-02").exists()


def test_grids_that_differ_name_both_files(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    shift(bids)
    prepared, _ = run(make_recipe(BidsPairs(str(bids))), tmp_path / "out")
    assert str(flair_of(bids, "sub-02")) in prepared.dropped[0].reason
    assert str(t1w_of(bids, "sub-02")) in prepared.dropped[0].reason


def test_nothing_left_is_an_error_and_writes_nothing(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    for subject in ("sub-01", "sub-02", "sub-03"):
        write_volume(t1w_of(bids, subject), Volume(np.ones((4, 5, 6)), np.eye(4)))
    with pytest.raises(MrcontrastError, match="got 3 faulty"):
        run(make_recipe(BidsPairs(str(bids))), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bids"]


def test_one_subject_is_an_error_and_writes_nothing(
    tmp_path: Path,
    write_pair,
    make_recipe: MakeRecipe,
) -> None:
    write_pair(tmp_path / "bids", "sub-01", "ses-1")
    write_pair(tmp_path / "bids", "sub-01", "ses-2")
    with pytest.raises(MrcontrastError, match="at least 2 subjects"):
        run(make_recipe(BidsPairs(str(tmp_path / "bids"))), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sessions_of_one_subject_stay_on_one_side(
    tmp_path: Path,
    bids: Path,
    write_pair,
    make_recipe: MakeRecipe,
) -> None:
    write_pair(bids, "sub-07", "ses-1")
    write_pair(bids, "sub-07", "ses-2")
    prepared, _ = run(make_recipe(BidsPairs(str(bids))), tmp_path / "out")
    sides = {r.name: r.split for r in prepared.manifest.records if r.subject == "sub-07"}
    assert len(sides) == 2
    assert len(set(sides.values())) == 1


def test_an_output_below_a_file_is_named(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MrcontrastError, match="can be written to"):
        run(make_recipe(BidsPairs(str(bids))), tmp_path / "file" / "out")


def test_oblique_scans_without_a_grid_step_are_one_grid(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    for number, subject in enumerate(("sub-01", "sub-02", "sub-03")):
        angle = np.deg2rad(0.5 + number)
        turned = np.eye(4)
        turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        for path in (flair_of(bids, subject), t1w_of(bids, subject)):
            rewrite(path, affine=turned @ nib.load(path).affine)
    recipe = make_recipe(BidsPairs(str(bids)))
    recipe.grid = ModelGrid(3.0, (20, 26, 22))
    del recipe.operators[1]
    made, _ = run(recipe, tmp_path / "out")
    assert made.dropped == []
    assert {record.spacing_mm for record in made.manifest.records} == {3.0}


def test_names_that_are_not_utf_8_are_dropped_at_the_start(
    tmp_path: Path, bids: Path, write_pair, make_recipe: MakeRecipe
) -> None:
    latin = os.fsdecode(b"sub-caf\xe9")
    write_pair(bids, latin)
    write_pair(bids, "sub-04", entities=os.fsdecode(b"_acq-\xe9"))
    prepared, lines = run(make_recipe(BidsPairs(str(bids))), tmp_path / "out")
    assert [record.subject for record in prepared.manifest.records] == [
        "sub-01",
        "sub-02",
        "sub-03",
    ]
    assert {item.subject for item in prepared.dropped} == {"sub-04", "sub-caf\\udce9"}
    assert all("Expected names in UTF-8" in item.reason for item in prepared.dropped)
    assert [line.split()[0] for line in lines] == ["dropped"] * 2 + ["prepared"] * 3
    assert "sub-caf\\udce9" in (tmp_path / "out" / "dropped.tsv").read_text(encoding="utf-8")
    root = bids.rename(bids.with_name(os.fsdecode(b"caf\xe9")))
    with pytest.raises(UsageError, match="path in UTF-8"):
        BidsPairs(str(root))


def test_no_text_of_a_header_reaches_the_data_set(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    for path in bids.rglob("*.nii.gz"):
        image = nib.load(path)
        made = nib.Nifti1Image(image.get_fdata(), image.affine)
        for field in ("descrip", "db_name", "aux_file", "intent_name"):
            made.header[field] = b"Mustermann"
        made.header["intent_code"] = 1001
        made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Mustermann"))
        nib.save(made, path)
    run(make_recipe(BidsPairs(str(bids))), tmp_path / "out")
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) > 12
    for path in written:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        assert b"Mustermann" not in raw, path
        if path.suffix == ".gz":
            assert int(nib.load(path).header["intent_code"]) == 0


def test_scans_in_micron_are_prepared_in_mm(
    tmp_path: Path, bids: Path, make_recipe: MakeRecipe
) -> None:
    plain, _ = run(make_recipe(BidsPairs(str(bids))), tmp_path / "plain")
    for path in (flair_of(bids, "sub-02"), t1w_of(bids, "sub-02")):
        image = nib.load(path)
        affine = np.diag([1e3, 1e3, 1e3, 1]) @ image.affine
        micron = nib.Nifti1Image(image.get_fdata(), affine)
        micron.header.set_xyzt_units("micron")
        nib.save(micron, path)
    recipe = make_recipe(BidsPairs(str(bids)))
    recipe.operators.insert(0, CheckHeader())
    made, _ = run(recipe, tmp_path / "micron")
    assert made.dropped == []
    volumes = [m.manifest.records[1].measures["brain_ml"] for m in (plain, made)]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-3)
    written = nib.load(made.manifest.records[1].images["flair"])
    assert written.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(written.header.get_zooms(), 4.0)
