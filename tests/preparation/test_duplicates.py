from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.data.record import Record
from mrcontrast.data.splits import FixedSplit, RandomSplit
from mrcontrast.preparation.dataset import prepare_dataset
from mrcontrast.preparation.duplicates import Deduplicate
from mrcontrast.preparation.outcome import Outcome
from mrcontrast.preparation.session import Dropped, Entry
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume, write_volume
from preparation_files import AFFINE, SHAPE, brain, recipe_of
from toy.sources import ToyPair, ToySource


class Seeds(ToySource):
    """Sessions with the voxels of given seeds."""

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        return [
            Entry(f"sub-{i:02d}", None, "toys", f"toy {i}", ToyPair(int(seed)))
            for i, seed in enumerate(self.manners)
        ], []


def prepare(recipe, out: Path):
    return prepare_dataset(recipe, out, "x\n", 1, lambda line: None)


def test_the_same_voxels_under_another_name_are_dropped(tmp_path: Path) -> None:
    recipe = recipe_of(Seeds(("1", "5", "1", "9")), deduplicate=Deduplicate())
    made = prepare(recipe, tmp_path / "out")
    assert [record.subject for record in made.manifest.records] == ["sub-00", "sub-01", "sub-03"]
    (item,) = made.dropped
    assert (item.name, item.operator, item.value) == ("sub-02", "Deduplicate", "sub-00")
    assert "one person under two ids" in item.reason
    assert not (tmp_path / "out" / "sub-02").exists()
    assert (
        "sub-02\tDeduplicate\tsame_voxels_as\tsub-00"
        in (tmp_path / "out" / "dropped.tsv").read_text()
    )
    # once the first one has gone, the other one stays
    made = prepare(recipe_of(Seeds(("3", "5", "1")), deduplicate=Deduplicate()), tmp_path / "out")
    assert made.dropped == []


def test_one_shared_contrast_is_reported(tmp_path: Path) -> None:
    # the T1w of seed 1 is the FLAIR of seed 2, scaled: only a true copy counts
    made = prepare(recipe_of(Seeds(("1", "2", "7")), deduplicate=Deduplicate()), tmp_path / "a")
    assert made.remarks == []
    source = Seeds(("1", "1", "7"))
    recipe = recipe_of(source, deduplicate=Deduplicate())
    entries = source.index()[0]

    class OtherFlair(ToyPair):
        def load(self) -> Subject:
            subject = super().load()
            subject.images["flair"] = Volume(subject.images["flair"].data * 2 + brain(), AFFINE)
            return subject

    object.__setattr__(entries[1], "pair", OtherFlair(1))
    source_index = lambda: (entries, [])  # noqa: E731
    recipe.sources = [
        type("S", (), {"index": staticmethod(source_index), "folders": [], "remarks": ()})()
    ]
    made = prepare(recipe, tmp_path / "b")
    assert [(r.item, r.measure) for r in made.remarks] == [("sub-00 sub-01", "same_t1w_voxels")]
    assert len(made.manifest.records) == 3
    assert len({r.split for r in made.manifest.records if r.subject in ("sub-00", "sub-01")}) == 1
    assert "sub-00 sub-01" in (tmp_path / "b" / "remarks.tsv").read_text()
    assert "one person under two ids" in (tmp_path / "b" / "quality.html").read_text()


@pytest.mark.parametrize(("noise", "reported"), [(0.05, True), (1.0, False)])
def test_one_person_scanned_twice_is_reported(tmp_path: Path, noise: float, reported: bool) -> None:
    from mrcontrast.preparation.bids import BidsPairs

    rng = np.random.default_rng(0)
    anatomy = rng.uniform(0.2, 1, SHAPE)
    for subject in ("sub-01", "sub-02"):
        other = rng.uniform(0.2, 1, SHAPE)
        for kind in ("FLAIR", "T1w"):
            data = ((1 - noise) * anatomy + noise * other) * brain()
            path = tmp_path / "bids" / subject / "anat" / f"{subject}_{kind}.nii.gz"
            write_volume(path, Volume((100 * data).astype(np.float32), AFFINE))
    source = BidsPairs(str(tmp_path / "bids"))
    made = prepare(recipe_of(source, deduplicate=Deduplicate(0.8)), tmp_path / "out")
    assert made.dropped == []
    assert bool(made.remarks) is reported
    if reported:
        assert made.remarks[0].measure == "look_correlation"
        assert "sub-01 and sub-02" in made.remarks[0].text


class Visits(ToySource):
    """Subjects with several visits; the manners are "subject/session/seed"."""

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        cells = [manner.split("/") for manner in self.manners]
        return [
            Entry(subject, session, "toys", f"toy {seed}", ToyPair(int(seed)))
            for subject, session, seed in cells
        ], []


VISITS = Visits(
    (
        *(
            f"sub-{name}/ses-1/{seed}"
            for seed, name in zip(range(10, 90, 10), "abcdefgh", strict=True)
        ),
        "sub-x/ses-1/10",  # sub-a
        "sub-x/ses-2/200",
        "sub-y/ses-1/200",  # and so is this one, by way of sub-x
        "sub-y/ses-2/300",
    )
)


@pytest.mark.parametrize("seed", range(4))
def test_two_ids_of_one_person_stand_on_one_side(tmp_path: Path, seed: int) -> None:
    recipe = recipe_of(VISITS, deduplicate=Deduplicate())
    recipe.split = RandomSplit(0.5, 0.0, 0.5, seed=seed)
    made = prepare(recipe, tmp_path / "out")
    sides = {record.name: record.split for record in made.manifest.records}
    assert sorted(set(sides)) == [
        *(f"sub-{name}_ses-1" for name in "abcdefgh"),
        "sub-x_ses-2",
        "sub-y_ses-2",
    ]
    assert len({sides[f"sub-{visit}"] for visit in ("a_ses-1", "x_ses-2", "y_ses-2")}) == 1
    pairs = [(remark.item, remark.measure) for remark in made.remarks]
    assert pairs == [
        ("sub-a_ses-1 sub-x_ses-1", "same_voxels"),
        ("sub-x_ses-2 sub-y_ses-1", "same_voxels"),
    ]
    assert "taken for one person" in (tmp_path / "out" / "remarks.tsv").read_text()


def test_a_session_with_a_fault_tells_who_is_one_person_too(
    tiny_records: list[Record],
) -> None:
    prints = {"flair": "1", "t1w": "2"}
    fault = Dropped("sub-b", "ses-1", "BrainMask", "another mask")
    stays = replace(tiny_records[0], subject="sub-a")
    compared = Deduplicate().compare(
        [
            Outcome("sub-b_ses-1", "", dropped=fault, prints=prints),
            Outcome("sub-a", "", record=stays, prints=prints),
        ]
    )
    assert [outcome.dropped for outcome in compared.outcomes] == [fault, None]
    assert len(set(compared.person_of.values())) == 1
    assert set(compared.person_of) == {"sub-a", "sub-b"}
    assert [remark.measure for remark in compared.remarks] == ["same_voxels"]


def test_a_fixed_list_need_not_know_of_the_other_id(tmp_path: Path) -> None:
    recipe = recipe_of(VISITS, deduplicate=Deduplicate())
    recipe.split = FixedSplit(
        ["sub-b", "sub-c", "sub-d", "sub-x"], [], [f"sub-{name}" for name in "aefghy"]
    )
    made = prepare(recipe, tmp_path / "out")
    sides = {record.subject: record.split for record in made.manifest.records}
    assert sides["sub-a"] == sides["sub-x"] == sides["sub-y"] == "test"
