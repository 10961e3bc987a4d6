"""What headers leave uncertain is a remark of the data set."""

from mrcontrast.preparation.outcome import Change, Outcome
from mrcontrast.preparation.output import header_remarks


def outcome(**headers: str) -> Outcome:
    changes = [
        Change(0, "LoadPair", f"{contrast}_header", None, text)
        for contrast, text in headers.items()
    ]
    return Outcome("sub-01", "key", changes=changes)


def test_each_uncertain_place_is_a_remark() -> None:
    flair = "qform_sform_mm 10.0; sheared axes not at right angles; dims 4x5x6"
    t1w = "affine neither qform nor sform is set; units unknown; units um"
    found = header_remarks([outcome(flair=flair, t1w=t1w)])
    assert [(remark.measure, remark.value) for remark in found] == [
        ("flair_qform_sform_mm", 10.0),
        ("flair_sheared", 1.0),
        ("t1w_affine", 1.0),
        ("t1w_units", 1.0),
    ]
    assert found[0].text == "sub-01: flair: qform and sform are 10.0 mm apart; the sform counts"
    assert found[2].text.endswith("neither qform nor sform is set, so its orientation is a guess")


def test_sound_headers_have_none() -> None:
    assert header_remarks([outcome(flair="", t1w=""), Outcome("sub-02", "key")]) == []
