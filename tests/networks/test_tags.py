"""The vocabulary of tags and the language of prompts."""

import math

import pytest
from omegaconf import OmegaConf

from mrcontrast.config.build import build, config_dir
from mrcontrast.errors import UsageError
from mrcontrast.networks.tags import Vocabulary, Weighted


@pytest.fixture(scope="module")
def words():
    node = OmegaConf.load(config_dir() / "tags" / "protocol.yaml")
    data = {"source": ["flair"], "target": "t1w"}
    return build(OmegaConf.create({"data": data, "tags": node}).tags)


def test_a_prompt_names_tags_with_weights_and_plain_words(words: Vocabulary):
    found = words.parse("t1w_ti_ms=1100:1.2, t1w_field_strength_t=3, age = 40")
    assert found == {
        "t1w_ti_ms": Weighted(1100.0, 1.2),
        "t1w_field_strength_t": Weighted(3.0, 1.0),
        "age": Weighted(40.0, 1.0),
    }
    both = {
        "flair_field_strength_t": Weighted(3.0, 0.5),
        "t1w_field_strength_t": Weighted(3.0, 0.5),
    }
    assert words.parse("3 Tesla:0.5") == both
    assert words.parse(" 3   tesla:0.5") == both
    assert words.parse("3 tesla:0.5", among=["t1w_field_strength_t"]) == {
        "t1w_field_strength_t": Weighted(3.0, 0.5)
    }
    assert words.parse("3 tesla:0.5", among=["age"]) == both
    thin = words.parse("3 tesla, thin slices, mprage")
    assert thin["flair_slice_thickness_mm"] == Weighted(1.0)
    assert thin["t1w_sequence"] == Weighted("mprage")
    assert words.parse("") == words.parse(" , ") == {}
    assert words.parse("sex=F, flair_maker=Siemens Healthineers:0") == {
        "sex": Weighted("f"),
        "flair_maker": Weighted("siemens", 0.0),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t1w_tii_ms=3", "Did you mean t1w_ti_ms"),
        ("t2w_ti_ms=3", "Expected a tag among flair_field_strength_t"),
        ("3 telsa", "Did you mean 3 tesla"),
        ("t1w_ti_ms=long", "a number in ms for t1w_ti_ms"),
        ("t1w_ti_ms=nan", "a number in ms for t1w_ti_ms"),
        ("t1w_ti_ms=900:much", "name=value:weight"),
        ("t1w_ti_ms=900:inf", "name=value:weight"),
        ("t1w_ti_ms=900:1e30", "a weight from -100 to 100"),
        ("=900", "got '' "),
        (3, "got '3'"),
        ("x" * 100_000, "got 'x{60}' "),
        ("sex=x", "Expected f, m for sex"),
        ("t1w_sequence=hologram", "mprage, spgr"),
    ],
)
def test_what_cannot_be_read_says_what_can(words: Vocabulary, text: str, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        words.parse(text)
    assert "\n" not in str(caught.value)


def test_a_manifest_is_read_by_name_contrast_and_text(words: Vocabulary):
    tags = {
        "field_strength_t": 1.5,
        "flair_te_ms": "120",
        "t1w_spacing_mm": [1.0, 0.9, 1.2],
        "manufacturer": "GE MEDICAL SYSTEMS",
        "t1w_sequence": "tfl3d1_16ns",
        "sex": "F",
        "age": "n/a",
        "lesion_count": 3,
    }
    known = words.known(tags, whole=True)
    assert known["flair_field_strength_t"] == known["t1w_field_strength_t"] == Weighted(1.5)
    assert known["flair_te_ms"] == Weighted(120.0)
    assert known["t1w_voxel_mm"] == Weighted(0.9)
    assert known["t1w_maker"] == Weighted("ge")
    assert known["t1w_sequence"] == Weighted("mprage")
    assert known["sex"] == Weighted("f")
    assert "age" not in known
    source = words.known(tags, whole=False)
    assert set(source) == {name for name in known if not name.startswith("t1w_")}
    values, weights = words.values(known)
    assert sum(not math.isnan(value) for value in values) == len(known)
    assert set(weights) == {1.0}


@pytest.mark.parametrize(
    ("scan", "aliases", "message"),
    [
        ({"coil": 3}, {}, "for the tag coil"),
        ({"coil": {"words": "head"}}, {}, "for the tag coil"),
        ({"coil": {"words": {"head": "hd"}}}, {}, "for the tag coil"),
        ({"te_ms": {"units": "ms"}}, {}, "for the tag te_ms"),
        ({"te_ms": {"unit": "ms", "keys": "te"}}, {}, "for the tag te_ms"),
        ({}, {"again": "again"}, "words 'again'"),
    ],
)
def test_a_faulty_vocabulary_is_refused(scan: dict, aliases: dict, message: str):
    with pytest.raises(UsageError, match=message):
        Vocabulary(["flair"], "t1w", scan, {}, aliases)
