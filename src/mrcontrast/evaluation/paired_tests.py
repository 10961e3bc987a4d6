"""Paired tests between all methods of an evaluation, or the reason why there are none."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from mrcontrast.evaluation.statistics import Row, by_subject
from mrcontrast.metrics.intervals import MIN_SUBJECTS, summarise
from mrcontrast.metrics.metric import Metric
from mrcontrast.metrics.significance import (
    ALPHA,
    POWER,
    detectable_effect,
    holm,
    paired_test,
    smallest_p,
)

SHUFFLED = "_shuffled"
METHOD = (
    "two-sided Wilcoxon signed-rank test of paired subjects; p_holm by Holm over the pairs of "
    "methods, for each region and metric apart; metrics with an ideal value by their distance "
    "from it; effect sizes: matched-pairs rank-biserial correlation and Cohen's dz, of first minus "
    "second. Methods given another subject's sources (*_shuffled) are left out"
)

Pairs = list[dict[str, Any]]


def compare_methods(rows: Sequence[Row], metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return the tests of every two methods, metric by metric, or the reason why there are none.

    Metrics that have a better side are tested.
    """
    values = {
        key: subjects for key, subjects in by_subject(rows).items() if not key[0].endswith(SHUFFLED)
    }
    methods = list(dict.fromkeys(method for method, _, _ in values))
    smallest = min((len(values[method, "brain", "mae"]) for method in methods), default=0)
    found = {"method": METHOD, "unit": "subject", "alpha": ALPHA, "min_subjects": MIN_SUBJECTS}
    refused = None
    if len(methods) < 2:
        refused = "Expected two methods to compare, got one."
    elif smallest < MIN_SUBJECTS:
        refused = (
            f"Expected at least {MIN_SUBJECTS} subjects for a paired test, got {smallest}. "
            "No test was made: so few subjects say little of a population."
        )
    if refused:
        return found | {"refused": refused, "power": None, "pairs": []}
    power = power_note(smallest, len(methods) * (len(methods) - 1) // 2)
    tested = {metric.name: metric for metric in metrics if metric.better is not None}
    return found | {"refused": None, "power": power, "pairs": _all_pairs(values, methods, tested)}


def power_note(n: int, pairs: int) -> dict[str, Any]:
    """Return the smallest p and the smallest effect that ``n`` subjects can show.

    ``pairs`` is the number of pairs of methods in a family of Holm's correction.
    """
    least, corrected = smallest_p(n), min(1.0, pairs * smallest_p(n))
    effect = detectable_effect(n, ALPHA / pairs) if corrected <= ALPHA else None
    can = (
        f"an effect of |dz| = {effect:.2f} is found with probability {POWER:g} in the first step "
        "of Holm's correction"
        if effect is not None
        else f"no effect, however large, can reach {ALPHA:g} after Holm's correction"
    )
    words = (
        f"With n = {n} subjects the smallest possible p is {least:.2g}, over {pairs} "
        f"{'pair' if pairs == 1 else 'pairs'} of methods {corrected:.2g}: {can}. A p above "
        f"{ALPHA:g} does not show that methods are equal."
    )
    return {
        "n": n,
        "pairs": pairs,
        "smallest_p": least,
        "smallest_p_holm": corrected,
        "power": POWER,
        "detectable_dz": effect,
        "words": words,
    }


def _all_pairs(
    values: Mapping[tuple[str, str, str], Mapping[str, float]],
    methods: Sequence[str],
    metrics: Mapping[str, Metric],
) -> Pairs:
    """Test every two methods in every region and metric that both have for enough subjects."""
    families: dict[tuple[str, str], Pairs] = defaultdict(list)
    for region, name in dict.fromkeys((region, name) for _, region, name in values):
        if name not in metrics:
            continue
        for first, second in combinations(methods, 2):
            chosen = [values.get((method, region, name), {}) for method in (first, second)]
            if (pair := _one_pair(chosen, metrics[name])) is not None:
                named = {"first": first, "second": second, "region": region, "metric": name}
                families[region, name].append(named | pair)
    for family in families.values():
        for pair, p in zip(family, holm([pair["p"] for pair in family]), strict=True):
            pair["p_holm"] = p
    return [pair for family in families.values() for pair in family]


def _one_pair(chosen: Sequence[Mapping[str, float]], metric: Metric) -> dict[str, Any] | None:
    """Test two methods by one metric; None for too few subjects or a value that is not finite."""
    common = sorted(chosen[0].keys() & chosen[1].keys())
    first, second = (np.array([subjects[name] for name in common]) for subjects in chosen)
    if len(common) < MIN_SUBJECTS or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    badness = metric.badness(first), metric.badness(second)
    # A metric with an ideal value is tested by its distance from it.
    tested = (first, second) if metric.better in ("higher", "lower") else badness
    difference = summarise(tested[0] - tested[1])
    worse = float(np.mean(badness[0] - badness[1]))
    return {
        "difference": {"mean": difference.mean, "ci95": difference.ci95},
        "better": None if worse == 0 else ("first" if worse < 0 else "second"),
        **asdict(paired_test(*tested)),
    }
