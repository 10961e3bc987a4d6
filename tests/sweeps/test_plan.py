"""Which jobs are the same: what decides a result counts, and nothing else does."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mrcontrast.config.build import compose
from mrcontrast.data.manifest import Manifest
from mrcontrast.storage.files import write_json
from mrcontrast.sweeps.identity import difference, identity_of
from mrcontrast.sweeps.jobs import FINISHED
from mrcontrast.sweeps.plan import Plan
from mrcontrast.sweeps.search import Point


@pytest.mark.parametrize("name", ["data_hash", "split_hash"])
def test_other_data_in_the_same_folder_are_another_job(
    prepared_root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = OmegaConf.create({"seed": 0, "data": {"root": str(prepared_root)}})
    before = identity_of("train", config)
    assert identity_of("train", config) == before
    monkeypatch.setattr(Manifest, name, "other")
    assert identity_of("train", config) != before


def test_data_that_are_not_there_are_no_fault(tmp_path: Path) -> None:
    config = OmegaConf.create({"data": {"root": str(tmp_path)}})
    assert identity_of("train", config) == identity_of("train", config)


def test_an_outside_run_that_was_trained_anew_is_another_study(tmp_path: Path) -> None:
    def found(weights: str) -> str:
        write_json(tmp_path / "provenance.json", {"weights_sha256": weights})
        return identity_of("study", config)

    config = compose("study", ["study=smoke", f"study.predict.lookup.model={tmp_path}"])
    assert found("a") == found("a") != found("b")


def test_a_cache_that_moved_is_the_same_job() -> None:
    here, there, other = (
        OmegaConf.create({"stage": {"lr": rate, "store": {"folder": folder}}, "callbacks": None})
        for rate, folder in ((1, "a"), (1, "b"), (2, "a"))
    )
    assert identity_of("train", here) == identity_of("train", there) != identity_of("train", other)


def plan_of(folder: Path, fixed: Sequence[str]) -> Plan:
    return Plan("train", tuple(fixed), (), compose("train", [*fixed, "seed=1"]), folder)


def test_a_job_done_again_has_the_free_overrides_of_today(tmp_path: Path) -> None:
    fixed = ["stage=autoencoder"]
    point = Point({"seed": "1"})
    job = plan_of(tmp_path, fixed).job(point, {})
    job.state, job.score, job.command = FINISHED, 0.5, "study"  # nobody's file says what to run
    fixed += ["workers=3", "logger.tracking_uri=http://other:5000"]
    again = plan_of(tmp_path, fixed).job(point, {job.name: job})
    assert again.overrides[:3] == fixed
    assert again.overrides[3:] == ["seed=1", f"out={tmp_path}/seed_1", again.overrides[-1]]
    assert (again.folder, again.number, again.state, again.score) == (job.folder, 1, FINISHED, 0.5)
    assert again.command == "train"


def test_a_job_takes_no_folder_that_holds_something_else(tmp_path: Path) -> None:
    plan, point = plan_of(tmp_path, ["stage=autoencoder"]), Point({"seed": "1"})
    (tmp_path / "seed_1").mkdir()
    (tmp_path / "seed_1" / ".lock").touch()  # a kill before anything was written
    assert plan.job(point, {}).name == "seed_1"
    (tmp_path / "seed_1" / "notes.txt").touch()
    other = plan.job(point, {}).name
    assert other.startswith("seed_1-")
    (tmp_path / other).symlink_to(tmp_path / "gone")
    assert plan.job(point, {}).name not in ("seed_1", other)


def test_numbers_go_on_after_the_largest(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["stage=autoencoder"])
    first = plan.job(Point({"seed": "1"}), {})
    first.number = 7  # folders of two sweeps were put together
    assert plan.job(Point({"seed": "2"}), {first.name: first}).number == 8


def test_data_and_runs_count_by_their_content(prepared_root: Path, tmp_path: Path) -> None:
    def found(root: Path, weights: str, folder: str) -> dict[str, str]:
        run = tmp_path / folder
        run.mkdir(exist_ok=True)
        write_json(run / "provenance.json", {"weights_sha256": weights})
        (run / "config.yaml").touch()
        config = {"seed": 0, "data": {"root": str(root)}, "autoencoder": str(run)}
        return identity_of("train", OmegaConf.create(config))

    before = found(prepared_root, "a", "here")
    moved = tmp_path / "moved"
    moved.symlink_to(prepared_root)
    assert found(moved, "a", "there") == before
    assert difference(before, found(prepared_root, "b", "here")) == "parents"
    assert difference(before, found(tmp_path, "a", "here")) == "data"
