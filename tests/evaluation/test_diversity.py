from pathlib import Path

import pytest
from tests.metrics.conftest import ms_ssim

from mrcontrast.data.manifest import Manifest
from mrcontrast.evaluation.diversity import choose_pairs, measure_diversity
from mrcontrast.evaluation.metric_list import METRICS
from mrcontrast.evaluation.pairing import Case
from mrcontrast.evaluation.scoring import Scorer
from mrcontrast.metrics.intensity import FixedRange
from mrcontrast.storage.parallel import Workers
from mrcontrast.storage.volume import read_volume


@pytest.mark.parametrize("dims", [3, 2])
def test_mean_over_pairs_of_subjects(prepared_root: Path, dims: int) -> None:
    records = Manifest.read(prepared_root).records[:3]
    copies = {"copies": records[0].images["t1w"]}
    cases = [
        Case(record.name, record.images["t1w"], record.brain_mask, copies) for record in records
    ]
    scorer = Scorer(FixedRange(0.0, 1.0), 1, METRICS, dims=dims)
    with Workers() as pool:
        found = measure_diversity(cases, scorer, pool)["ms_ssim"]
    assert found["copies"] == {"mean": pytest.approx(1), "pairs": 3}
    assert found["real"]["pairs"] == 3
    assert found["real"]["mean"] < 0.99
    if dims == 3:
        a, b, c = (read_volume(record.images["t1w"]).data for record in records)
        pairs = ((a, b), (a, c), (b, c))
        expected = sum(ms_ssim(x, y, 1.0, num_scales=1) for x, y in pairs) / 3
        assert found["real"]["mean"] == pytest.approx(expected)


def test_many_subjects_are_sampled() -> None:
    names = [f"sub-{index}" for index in range(40)]
    chosen = choose_pairs(names, most=25)
    assert len(set(chosen)) == 25
    assert len({name for pair in chosen for name in pair}) > 20
    assert len(choose_pairs(names[:5], most=25)) == 10
