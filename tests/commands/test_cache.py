"""The command that lists latent caches and prunes them."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from mrcontrast.cli import main
from mrcontrast.latent.stored_caches import lock_path

FACTS = {
    "items": {"spatial_dims": 2, "data": "d" * 64},
    "autoencoder": "a" * 64,
    "variants": 2,
    "condition": "flair",
}


def make_cache(folder: Path, digit: str, days_unused: float = 0.0, items: int = 6) -> Path:
    """Make a finished cache whose name is one digit repeated."""
    cache = folder / (digit * 24)
    cache.mkdir(parents=True)
    np.save(cache / "target_mean.npy", np.zeros((items, 2, 3), np.float32))
    card = {"arrays": {"target_mean": [items, 2, 3]}, "created": "2025-03-04T05:06:07+00:00"}
    (cache / "cache.json").write_text(json.dumps(card | {"facts": FACTS}))
    used = time.time() - days_unused * 86400
    os.utime(cache / "cache.json", (used, used))
    return cache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with a recent cache (1), an old one (2), a half one (3), a damaged one (4)."""
    make_cache(tmp_path, "1")
    make_cache(tmp_path, "2", days_unused=40)
    make_cache(tmp_path, "3").rename(tmp_path / ("3" * 24 + ".partial"))
    (make_cache(tmp_path, "4") / "target_mean.npy").write_bytes(b"")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("no cache")
    return tmp_path


def test_what_only_looks_like_a_cache_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = make_cache(tmp_path_factory.mktemp("elsewhere"), "9")
    (elsewhere / "cache.json").unlink()
    noted, other, linked = (folder / (digit * 24) for digit in "567")
    (make_cache(folder, "5") / "notes.txt").write_text("mine")
    (noted / "cache.json").write_text("{")
    other.mkdir()
    (other / "flair.npy").write_text("an image of somebody whose folders have such names")
    linked.symlink_to(elsewhere)
    assert main(["cache", "--prune", "--older-than-days", "0", "--folder", str(folder)]) == 0
    assert left(folder) == {"5", "6", "7", "m"}
    assert len(list(noted.iterdir())) == 3
    assert (elsewhere / "target_mean.npy").is_file()
    assert not any(digit * 24 in capsys.readouterr().out for digit in "567")


def test_a_card_of_somebody_else_is_shown_without_trust(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = make_cache(tmp_path, "1")
    card = json.loads((cache / "cache.json").read_text())
    (cache / "cache.json").write_text(json.dumps(card | {"facts": {"items": 3, "condition": 4}}))
    assert main(["cache", "--folder", str(tmp_path)]) == 0
    assert "finished" in capsys.readouterr().out


def left(folder: Path) -> set[str]:
    return {path.name[:1] for path in folder.iterdir() if path.is_dir()}


def test_it_lists_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "--folder", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {digit: next(line for line in lines if digit * 24 in line) for digit in "1234"}
    assert "finished" in rows["1"]
    assert "2025-03-04 05:06" in rows["1"]
    assert "2D, data dddddddd, autoencoder aaaaaaaa, variants 2, flair" in rows["1"]
    assert " 6 " in rows["1"]
    assert "broken" in rows["3"]
    assert "broken" in rows["4"]
    assert not any("mine" in line for line in lines)
    assert left(folder) == {"1", "2", "3", "4", "m"}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([], {"1", "2", "m"}),
        (["--older-than-days", "30"], {"1", "m"}),
        (["--older-than-days", "50"], {"1", "2", "m"}),
        (["--older-than-days", "0"], {"m"}),
    ],
)
def test_it_prunes_what_is_broken_or_long_unused(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], kept: set[str]
) -> None:
    assert main(["cache", "--prune", *options, "--folder", str(folder)]) == 0
    assert left(folder) == kept
    assert capsys.readouterr().out.count("deleted") == 5 - len(kept)


def test_a_cache_in_the_making_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(lock_path(folder / ("3" * 24 + ".partial"))):
        assert main(["cache", "--folder", str(folder)]) == 0
        assert "building" in capsys.readouterr().out
        assert main(["cache", "--prune", "--folder", str(folder)]) == 0
    assert left(folder) == {"1", "2", "3", "m"}


def test_without_a_cache_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MRCONTRAST_CACHE", str(tmp_path))
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"No latent caches in {tmp_path}/latents\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folder", "nowhere"], "(nowhere)"),
        (["--older-than-days", "3"], "Add --prune."),
        (["--prune", "--older-than-days", "-1"], "0 or more days"),
    ],
)
def test_wrong_usage_is_said_in_the_last_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cache", *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
