"""Which jobs are the same: what decides a result counts, and nothing else does."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mrcontrast.config import compose
from mrcontrast.data.manifest import Manifest
from mrcontrast.files import write_json
from mrcontrast.sweeps.plan import Plan, hash_of
from mrcontrast.sweeps.search import Point


@pytest.mark.parametrize("name", ["data_hash", "split_hash"])
def test_other_data_in_the_same_folder_are_another_job(
    prepared_root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = OmegaConf.create({"seed": 0, "data": {"root": str(prepared_root)}})
    before = hash_of("train", config)
    assert hash_of("train", config) == before
    monkeypatch.setattr(Manifest, name, "other")
    assert hash_of("train", config) != before


def test_data_that_are_not_there_are_no_fault(tmp_path: Path) -> None:
    config = OmegaConf.create({"data": {"root": str(tmp_path)}})
    assert hash_of("train", config) == hash_of("train", config)


def test_an_outside_run_that_was_trained_anew_is_another_study(tmp_path: Path) -> None:
    def found(weights: str) -> str:
        write_json(tmp_path / "provenance.json", {"weights_sha256": weights})
        return hash_of("study", config)

    config = compose("study", ["study=smoke", f"study.predict.lookup.model={tmp_path}"])
    assert found("a") == found("a") != found("b")


def test_a_cache_that_moved_is_the_same_job() -> None:
    here, there, other = (
        OmegaConf.create({"stage": {"lr": rate, "store": {"folder": folder}}, "callbacks": None})
        for rate, folder in ((1, "a"), (1, "b"), (2, "a"))
    )
    assert hash_of("train", here) == hash_of("train", there) != hash_of("train", other)


def plan_of(folder: Path, fixed: Sequence[str]) -> Plan:
    return Plan("train", tuple(fixed), (), compose("train", [*fixed, "seed=1"]), folder)


def test_a_job_done_again_has_the_free_overrides_of_today(tmp_path: Path) -> None:
    fixed = ["stage=autoencoder"]
    point = Point({"seed": "1"})
    job = plan_of(tmp_path, fixed).job(point, 1, None, {})
    fixed += ["data.num_workers=3", "logger.tracking_uri=http://other:5000"]
    again = plan_of(tmp_path, fixed).job(point, 2, "parent", {job.name: job})
    assert again is job
    assert again.overrides[:3] == fixed
    assert again.overrides[3:] == ["seed=1", f"run_dir={tmp_path}/seed_1", again.overrides[-1]]
    assert (again.number, again.parent_run) == (1, "parent")
