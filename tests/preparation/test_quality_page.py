"""The quality report: who stands first, and a page that is whole without a network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from browser import Page, find_browser
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.dataset import prepare_dataset
from mrcontrast.preparation.outcome import Change, Outcome
from mrcontrast.preparation.pictures import draw_pictures, edges
from mrcontrast.preparation.quality_page import histograms, in_order, measured, suspicions
from mrcontrast.preparation.session import LEFT_OUT, Dropped
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from preparation_files import AFFINE, brain, raw_volume, recipe_of


def outcome(name: str, **measures: float) -> Outcome:
    changes = [Change(3, "Measure", key, None, value) for key, value in measures.items()]
    return Outcome(name, "key", changes=[Change(0, "load", "flair_max", None, 9.0), *changes])


def test_who_is_far_from_the_others_stands_out() -> None:
    outcomes = [outcome(f"sub-{i}", snr=20.0 + i, ml=1200.0) for i in range(9)]
    outcomes.append(outcome("sub-far", snr=80.0, ml=1200.0))
    found = suspicions(outcomes)
    assert found["sub-far"].score > 1
    assert found["sub-far"].reason == "snr 80"
    assert all(found[f"sub-{i}"].score < 1 for i in range(9))


def test_a_suspicion_has_its_own_limit() -> None:
    found = suspicions([outcome("sub-1", alignment_suspicion=1.4), outcome("sub-2", ml=1.0)])
    assert found["sub-1"].score == 1.4
    assert found["sub-2"].score == 0  # too few sessions to compare with


def test_dropped_ones_come_first_and_unwanted_ones_do_not_come() -> None:
    outcomes = [
        outcome("sub-1", alignment_suspicion=0.2),
        outcome("sub-2", alignment_suspicion=0.9),
    ]
    outcomes.append(replace(outcome("sub-3"), dropped=Dropped("sub-3", None, "X", "why")))
    unwanted = Dropped("sub-4", None, "Select", "why", kind=LEFT_OUT)
    outcomes.append(replace(outcome("sub-4"), dropped=unwanted))
    names = [each.name for each in in_order(outcomes, suspicions(outcomes))]
    assert names == ["sub-3", "sub-2", "sub-1"]


def test_histograms_count_the_dropped_apart() -> None:
    outcomes = [outcome(f"sub-{i}", snr=float(i)) for i in range(4)]
    decided = Dropped("sub-9", None, "Require", "why", "snr", 12.0, "<= 5")
    outcomes.append(replace(outcome("sub-9"), dropped=decided))
    (histogram,) = histograms(outcomes)
    assert [histogram[key] for key in ("measure", "low", "high")] == ["snr", "0", "12"]
    assert sum(bar["kept"] for bar in histogram["bars"]) == 4
    assert [bar["dropped"] for bar in histogram["bars"]] == [0] * 19 + [1]
    assert measured(outcomes[0]) == {"snr": 0.0}, "intensities on the way are not compared"


def test_pictures_show_where_things_are() -> None:
    flair = raw_volume(0, 100)
    pictures = draw_pictures(Subject({"flair": flair, "t1w": raw_volume(1, 50)}, brain()))
    assert list(pictures) == [
        "FLAIR",
        "T1w",
        "T1w edges on FLAIR, axial",
        "Mask on FLAIR",
        "T1w edges on FLAIR, sagittal",
    ]
    assert all(url.startswith("data:image/png;base64,") for url in pictures.values())
    moved = AFFINE.copy()
    moved[1, 3] += 9
    other = draw_pictures(
        Subject({"flair": flair, "t1w": Volume(raw_volume(1, 50).data, moved)}, brain())
    )
    assert other["FLAIR"] == pictures["FLAIR"]
    assert other["T1w"] != pictures["T1w"]


def test_edges_show_what_is_inside_and_not_where_the_brain_was_cut() -> None:
    inside = np.zeros((60, 60), bool)
    inside[10:50, 10:50] = True
    image = np.where(inside, 0.9, 0.0)
    image[25:35, 25:35] = 0.6  # a ventricle, of less contrast than the cut
    found = edges(image, inside)
    assert found[20:40, 20:40].any()
    assert not found[~ndimage.binary_erosion(inside, iterations=3)].any()


def test_pictures_of_what_was_hardly_read() -> None:
    empty = Subject(
        {"flair": raw_volume(0, 100), "t1w": raw_volume(1, 50)}, np.zeros(brain().shape, bool)
    )
    assert len(draw_pictures(empty)) == 5
    assert len(draw_pictures(replace(empty, brain_mask=None))) == 4
    assert empty.brain_mask is not None
    empty.brain_mask[10, 13, 11] = True
    assert len(draw_pictures(empty)) == 5


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")
def test_the_page_in_a_browser(tmp_path: Path, bids: Path) -> None:
    path = bids / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    path.write_bytes(path.read_bytes()[:-300])
    nasty = bids / "sub-<b>bold" / "anat"
    nasty.mkdir(parents=True)
    prepare_dataset(recipe_of(BidsPairs(str(bids))), tmp_path / "out", "x\n", 1, lambda line: None)
    with Page(tmp_path / "profile", width=900, height=900) as page:
        page.open(tmp_path / "out" / "quality.html")
        assert page.faults() == []
        asked = [url for url in page.requests() if not url.startswith(("file:", "data:"))]
        assert asked == []
        loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 20)"
        assert page.run(loaded)
        assert page.run("document.images.length") == 10
        assert page.run("document.querySelectorAll('b').length") == 0
        order = "[...document.querySelectorAll('.session')].map(e => e.id)"
        assert page.run(order)[0] == "sub-02"
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.run(wide) == 0
