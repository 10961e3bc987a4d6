"""Each tensor once, in one file or beside it."""

import os
from pathlib import Path

import pytest
import torch

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.tensor_file import (
    SMALL,
    check_neighbours,
    read_tensors,
    stored,
    write_parts,
    write_tensors,
)
from toy.runs import end_of, in_child

KERNEL = torch.randn(8, 2 * SMALL)


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_equal_tensors_are_stored_once(tmp_path: Path) -> None:
    tensors = {
        "kernel": KERNEL,
        "skip.kernel": KERNEL.clone(),
        "turned": KERNEL.T,
        "half": KERNEL.half(),
        "brain": KERNEL.bfloat16(),
        "bias": torch.zeros(4),
        "other.bias": torch.zeros(4),
        "step": torch.tensor(3),
    }
    path = tmp_path / "weights.safetensors"
    write_tensors(path, tensors)
    assert stored(path).keys() == tensors.keys() - {"skip.kernel"}
    assert same(read_tensors(path), tensors)


def test_the_same_bytes_of_another_shape_or_type_are_another_tensor(tmp_path: Path) -> None:
    zeros = {"a": torch.zeros(100), "b": torch.zeros(10, 10), "c": torch.zeros(100).int()}
    write_tensors(tmp_path / "w", zeros)
    assert same(read_tensors(tmp_path / "w"), zeros)


@pytest.fixture
def family(tmp_path: Path) -> tuple[RunFolder, RunFolder]:
    parent, child = RunFolder(tmp_path / "m" / "parent"), RunFolder(tmp_path / "m" / "child")
    for run, weights, beside in (
        (parent, {"net": KERNEL, "own": KERNEL + 1}, []),
        (child, {"frozen.net": KERNEL, "mine": KERNEL + 2}, [parent.weights_path]),
    ):
        run.config_path.parent.mkdir(parents=True)
        run.config_path.write_text("stage: {_target_: torch.nn.Identity}\n")
        sha256 = write_tensors(run.weights_path, weights, beside)
        run.write_provenance({"weights_sha256": sha256})
    return parent, child


def test_a_run_takes_from_the_one_beside_it_wherever_both_are_moved(
    family: tuple[RunFolder, RunFolder], tmp_path: Path
) -> None:
    _, child = family
    assert stored(child.weights_path).keys() == {"mine"}
    moved = RunFolder((tmp_path / "m").rename(tmp_path / "moved") / "child")
    assert same(moved.read_weights(), {"frozen.net": KERNEL, "mine": KERNEL + 2})


def test_a_third_run_takes_each_tensor_from_where_it_lies(
    family: tuple[RunFolder, RunFolder],
) -> None:
    parent, child = family
    third = parent.weights_path.parent.parent / "third.safetensors"
    tensors = {"a": KERNEL, "b": KERNEL + 2, "c": KERNEL + 3}
    write_tensors(third, tensors, [parent.weights_path, child.weights_path])
    assert stored(third).keys() == {"c"}
    assert same(read_tensors(third), tensors)


def test_only_files_that_are_used_are_named(family: tuple[RunFolder, RunFolder]) -> None:
    parent, child = family
    path = child.path / "alone.safetensors"
    write_tensors(path, {"a": KERNEL + 5, "b": KERNEL + 5}, [parent.weights_path])
    parent.weights_path.unlink()
    check_neighbours(path)


def test_a_run_without_the_one_beside_it_is_refused(family: tuple[RunFolder, RunFolder]) -> None:
    parent, child = family
    child.verify()
    parent.write_weights({"net": KERNEL})
    with pytest.raises(MrcontrastError, match=r"got another \(.*parent.*Copy the whole model"):
        child.read_weights()
    parent.weights_path.unlink()
    with pytest.raises(MrcontrastError, match="got none"):
        child.verify()


def test_a_copy_alone_needs_nobody(family: tuple[RunFolder, RunFolder], tmp_path: Path) -> None:
    parent, child = family
    before = child.read_weights()
    copy = child.copy_alone(tmp_path / "copy")
    parent.weights_path.unlink()
    assert same(copy.read_weights(), before)
    assert copy.config == child.config


def test_a_large_file_is_cut_into_parts_that_belong_together(tmp_path: Path) -> None:
    tensors = {f"kernel{k}": KERNEL + k for k in range(5)} | {
        "again": KERNEL,
        "bias": torch.ones(3),
    }
    path = tmp_path / "run" / "weights.safetensors"
    path.parent.mkdir()
    write_parts(path, tensors, 2 * KERNEL.nbytes)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [
        "weights-1.safetensors",
        "weights-2.safetensors",
        "weights.safetensors",
    ]
    assert all(
        sum(t.nbytes for t in stored(file).values()) <= 2.1 * KERNEL.nbytes for file in files
    )
    assert same(read_tensors(path), tensors)
    child = tmp_path / "child.safetensors"
    write_parts(child, {"a": KERNEL + 1, "b": KERNEL + 9}, 2 * KERNEL.nbytes, files)
    assert stored(child).keys() == {"b"}
    assert same(read_tensors(child), {"a": KERNEL + 1, "b": KERNEL + 9})
    files[0].unlink()
    with pytest.raises(MrcontrastError, match="Copy the whole model"):
        check_neighbours(path)


def test_a_kill_while_the_file_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        os._exit(9)

    path = tmp_path / "weights.safetensors"
    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", killed)
        assert end_of(in_child(lambda: bool(write_tensors(path, {"kernel": KERNEL})))) == 9
    assert not path.exists()
    write_tensors(path, {"kernel": KERNEL})
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
