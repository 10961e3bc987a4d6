"""Tags as tokens: absence, weights, ranges, dropout, and networks that listen."""

from copy import deepcopy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from monai.networks.nets import DynUNet

from mrcontrast.errors import UsageError
from mrcontrast.networks.film import Film
from mrcontrast.networks.regressor import Regressor
from mrcontrast.networks.tag_prompt import TagPrompt, measure_tags
from mrcontrast.networks.tags import Vocabulary, Weighted

SCAN = {"ti_ms": {"unit": "ms"}, "te_ms": {"unit": "ms"}, "maker": {"words": ["ge", "philips"]}}
TRAINING = [
    {"t1w_ti_ms": 850.0, "t1w_maker": "ge"},
    {"t1w_ti_ms": 1150.0, "t1w_maker": "ge", "flair_te_ms": 90.0},
]


@pytest.fixture
def prompt():
    torch.manual_seed(0)
    made = TagPrompt(Vocabulary(["flair"], "t1w", SCAN, {}), width=8)
    made.measure(TRAINING)
    return made.eval()


def test_weight_0_absence_and_unknown_are_the_same_to_the_bit(prompt):
    absent = prompt.tokens([{}])
    assert torch.equal(absent[0], prompt.null)
    for value in (Weighted(1000.0, 0.0), float("nan"), "n/a"):
        assert torch.equal(prompt.tokens([{"t1w_ti_ms": value}]), absent)
    assert torch.equal(prompt.tokens([{"t1w_maker": Weighted("ge", 0.0)}]), absent)
    assert torch.equal(prompt.tokens([{"t1w_maker": "somebody"}]), absent)


def test_a_weight_scales_the_step_from_null_before_any_mixing(prompt):
    null = prompt.tokens([{}])
    for name, value in (("t1w_ti_ms", 900.0), ("t1w_maker", "ge")):
        once = prompt.tokens([{name: value}])
        thrice = prompt.tokens([{name: Weighted(value, 3.0)}])
        torch.testing.assert_close(thrice - null, 3 * (once - null))
        changed = (once != null).any(-1)[0]
        assert changed.sum() == 1


def test_the_mean_says_no_more_than_an_unknown_value(prompt):
    torch.testing.assert_close(prompt.tokens([{"t1w_ti_ms": 1000.0}]), prompt.tokens([{}]))


def test_only_trained_tags_words_and_values_are_taken(prompt):
    assert prompt.trained() == {
        "t1w_ti_ms": "850 to 1150 ms",
        "t1w_maker": "ge",
        "flair_te_ms": "90 ms",
    }
    prompt.read("t1w_ti_ms=850:2, t1w_maker=ge, flair_te_ms=90")
    assert list(prompt.read("te_ms=90, ti_ms=900")) == ["flair_te_ms", "t1w_ti_ms"]
    for text, message in (
        ("t1w_ti_ms=849", "Expected 850 to 1150 ms for t1w_ti_ms, as in training, got 849"),
        ("t1w_maker=philips", "Expected ge for t1w_maker"),
        ("flair_te_ms=91", "Expected 90 ms"),
        ("t1w_te_ms=3", "It knows: .*t1w_ti_ms 850 to 1150 ms"),
    ):
        with pytest.raises(UsageError, match=message):
            prompt.read(text)


def test_a_second_measurement_changes_no_meaning(prompt):
    before = prompt.tokens([{"t1w_ti_ms": 900.0}])
    prompt.measure([{"t1w_ti_ms": 3000.0, "t1w_te_ms": 3.0}])
    assert torch.equal(prompt.tokens([{"t1w_ti_ms": 900.0}]), before)
    assert prompt.trained()["t1w_te_ms"] == "3 ms"


def test_training_drops_tags_and_items_and_trades_distance_for_weight(prompt):
    prompt.train().dropout, prompt.tag_dropout = 0.25, 0.5
    torch.manual_seed(0)
    tokens = prompt.tokens([{"t1w_ti_ms": 1150.0, "t1w_maker": "ge"}] * 8000)
    names = list(prompt.vocabulary.by_name)
    lost = [
        (tokens[:, names.index(n)] == prompt.null[names.index(n)]).all(-1)
        for n in ("t1w_ti_ms", "t1w_maker")
    ]
    assert 0.6 < lost[0].float().mean() < 0.65  # 1 - 0.75 * 0.5
    assert 0.42 < (lost[0] & lost[1]).float().mean() < 0.46  # 0.25 + 0.75 * 0.25
    values, weights = prompt.varied(
        *(torch.tensor(x).expand(500, -1) for x in prompt.vocabulary.values({"t1w_ti_ms": 1150.0}))
    )
    row = names.index("t1w_ti_ms")
    shown = ~values[:, row].isnan()
    far = prompt.mean[row] + weights[shown, row] * (values[shown, row] - prompt.mean[row])
    torch.testing.assert_close(far, torch.full_like(far, 1150.0))
    assert weights.min() == 1
    assert weights.max() <= 2


def test_guidance_leads_away_from_the_negative_prompt(prompt):
    batch = {"source": torch.zeros(2, 1, 4, 4), "tags": [{"t1w_ti_ms": 900.0}] * 2}
    assert len(prompt.contexts(batch, guided=True)) == prompt.calls == 1
    prompt.guidance, prompt.negative = 3.0, {"t1w_maker": "ge"}
    away, to = prompt.contexts(batch, guided=True)
    assert prompt.calls == 2
    assert torch.equal(away, prompt.tokens([{"t1w_maker": "ge"}]).expand(2, -1, -1))
    assert torch.equal(to, prompt.tokens(batch["tags"]))
    assert torch.equal(prompt.predict(lambda c: c, [away, to]), away + 3 * (to - away))


@pytest.mark.parametrize("dims", [2, 3])
def test_film_begins_as_the_identity_and_refuses_networks_without_blocks(dims):
    network = DynUNet(dims, 1, 1, [3, 3, 3], [1, 2, 2], [2, 2], filters=[4, 4, 8]).eval()
    film = Film(network, 2, 3)
    image = torch.rand(2, 1, *[8] * dims)
    plain = network(image)
    with film.under(torch.rand(2, 2, 3)):
        assert torch.equal(network(image), plain)
    torch.nn.init.normal_(film.heads[0].weight)
    with film.under(torch.rand(2, 2, 3)):
        assert not torch.allclose(network(image), plain)
    assert torch.equal(network(image), plain)
    with pytest.raises(UsageError, match="blocks of MONAI's U-Nets"):
        Film(torch.nn.Conv2d(1, 1, 1), 2, 3)


def test_a_copy_listens_to_its_own_context():
    """Averaged weights live in a copy: its blocks must not ask the original."""
    lists = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
    prompt = TagPrompt(Vocabulary(["flair"], "t1w", SCAN, {}), width=8)
    prompt.measure(TRAINING)
    regressor = Regressor(partial(DynUNet, **lists, filters=[4, 4, 8]), 2, 0, 4, prompt=prompt)
    torch.nn.init.normal_(regressor.film.heads[0].weight)
    copy, image = deepcopy(regressor.eval()), torch.rand(1, 1, 16, 16)
    told = [{"t1w_ti_ms": 850.0}]
    assert torch.equal(copy(image, told), regressor(image, told))
    assert not torch.equal(copy(image, told), copy(image))
    torch.nn.init.zeros_(copy.film.heads[0].weight)
    assert torch.equal(copy(image, told), copy(image))
    assert not torch.equal(regressor(image, told), regressor(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "1 or more, got 0"),
        ({"frequencies": 0}, "1 or more"),
        ({"tag_dropout": float("nan")}, "tag_dropout in"),
        ({"guidance": float("nan")}, "as guidance, got nan"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TagPrompt(Vocabulary(["flair"], "t1w", SCAN, {}), **options)


def test_data_without_a_known_tag_are_reported(caplog):
    prompt = TagPrompt(Vocabulary(["flair"], "t1w", SCAN, {}))
    stage, data = SimpleNamespace(prompt=prompt), SimpleNamespace(train_tags=[{}, {"site": "x"}])
    measure_tags(stage, data)
    assert "No training session has a known tag" in caplog.text
