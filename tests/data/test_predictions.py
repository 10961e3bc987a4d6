"""Only what a sidecar of ours claims is replaced, whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.data.predictions import Existing, PredictionFiles
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_volume

FACTS = {
    "Samples": 2,
    "Sources": [],
    "GeneratedBy": [{"Name": "mrcontrast", "Version": "0.1.0"}],
}
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def image(value: float) -> Volume:
    return Volume(np.full((4, 5, 6), value, np.float32), AFFINE)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_volume(tmp_path / "in" / "source.nii.gz", image(1))
    return tmp_path / "in" / "source.nii.gz"


@pytest.fixture
def files(tmp_path: Path, source: Path) -> PredictionFiles:
    """A volume with its deviation and mask."""
    files = PredictionFiles(tmp_path / "out" / "a.nii.gz")
    files.write(image(0.5), image(0.1), FACTS, source, np.ones((4, 5, 6), bool))
    return files


def names(files: PredictionFiles) -> set[str]:
    return {path.name for path in files.volume.parent.iterdir()}


def test_all_files_are_claimed(files: PredictionFiles) -> None:
    assert names(files) == {"a.nii.gz", "a_std.nii.gz", "a.json", "a_desc-brain_mask.nii.gz"}
    sidecar = json.loads(files.sidecar.read_text())
    assert set(sidecar["Files"]) == names(files) - {"a.json"}
    assert "Replaces" not in sidecar
    assert all(files.owns(path) for path in (files.volume, files.std, files.mask))
    assert read_mask(files.mask, image(1)).all()
    files.refuse_foreign(masked=True)
    assert not files.needed(FACTS, Existing.REFUSE)


def test_files_that_a_new_output_lacks_go(files: PredictionFiles, source: Path) -> None:
    files.write(image(0.7), None, FACTS | {"Samples": 1}, source)
    assert names(files) == {"a.nii.gz", "a.json"}
    assert read_volume(files.volume).data.max() == np.float32(0.7)


def test_an_input_is_never_removed(files: PredictionFiles, source: Path) -> None:
    """A mask that an earlier output has written may be the mask of the next one."""
    files.write(image(0.7), None, FACTS | {"Sources": [str(files.mask)]}, source)
    assert names(files) == {"a.nii.gz", "a.json", "a_desc-brain_mask.nii.gz"}


@pytest.mark.parametrize("name", ["volume", "std", "mask"])
def test_a_file_that_has_changed_is_foreign(
    files: PredictionFiles, source: Path, name: str
) -> None:
    path: Path = getattr(files, name)
    path.write_text("mine")
    with pytest.raises(UsageError, match="has changed") as caught:
        files.refuse_foreign(masked=True)
    assert str(path) in str(caught.value)
    with pytest.raises(MrcontrastError):
        files.write(image(0.7), image(0.1), FACTS, source, np.ones((4, 5, 6), bool))
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["a.nii.gz", "a.nii", "a_std.nii.gz", "a.json", "a_desc-brain_mask.nii.gz"]
)
@pytest.mark.parametrize("content", ["mine", '{"Synthetic": true}', "[1]"])
def test_foreign_files_are_kept(tmp_path: Path, source: Path, name: str, content: str) -> None:
    files = PredictionFiles(tmp_path / "out" / "a.nii.gz")
    files.volume.parent.mkdir()
    foreign = files.volume.with_name(name)
    foreign.write_text(content)
    mask = np.ones((4, 5, 6), bool)
    with pytest.raises(UsageError, match="did not write"):
        files.refuse_foreign(masked=True)
    with pytest.raises(MrcontrastError, match="did not write"):
        files.write(image(0.7), image(0.1), FACTS, source, mask)
    assert names(files) == {name}
    assert foreign.read_text() == content


def test_links_and_folders_in_the_place_of_an_output_are_refused(tmp_path: Path) -> None:
    files = PredictionFiles(tmp_path / "a.nii.gz")
    files.volume.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="did not write"):
        files.refuse_foreign()
    files.volume.unlink()
    files.std.mkdir()
    with pytest.raises(UsageError, match="got a folder"):
        files.refuse_foreign()


def test_a_failed_write_leaves_the_earlier_output(
    files: PredictionFiles, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in files.volume.parent.iterdir()}

    def full(path: Path, volume: Volume, like_header: Path) -> None:
        if "_std" in path.name:
            raise MrcontrastError(f"Expected space, got none ({path}).")
        write_volume(path, volume, like_header)

    monkeypatch.setattr("mrcontrast.data.predictions.write_volume", full)
    with pytest.raises(MrcontrastError, match="Expected space"):
        files.write(image(0.9), image(0.2), FACTS, source)
    assert {path: path.read_bytes() for path in files.volume.parent.iterdir()} == before


@pytest.mark.parametrize("renamed", [1, 2])
def test_a_kill_between_renames_leaves_nothing_without_an_owner(
    files: PredictionFiles, source: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
) -> None:
    """The sidecar comes first and claims old and new, so the same command can go on."""
    replace, count = Path.replace, 0

    def killed(path: Path, target: Path) -> Path:
        nonlocal count
        if target.parent == files.volume.parent and not target.name.startswith("."):
            count += 1
            if count > renamed:
                raise SystemExit(143)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(SystemExit):
        files.write(image(0.9), image(0.2), FACTS, source)
    monkeypatch.setattr(Path, "replace", replace)
    files.refuse_foreign(masked=True)
    assert files.needed(FACTS, Existing.REFUSE)
    files.write(image(0.9), image(0.2), FACTS, source)
    assert names(files) == {"a.nii.gz", "a_std.nii.gz", "a.json"}
    assert not files.needed(FACTS, Existing.REFUSE)


def test_outputs_of_older_versions_are_ours(tmp_path: Path, source: Path) -> None:
    """They list no hashes: the volume is claimed by name, the deviation where there are draws."""
    files = PredictionFiles(tmp_path / "a.nii.gz")
    write_volume(files.volume, image(0.5))
    write_volume(files.std, image(0.1))
    files.sidecar.write_text(json.dumps(FACTS | {"Synthetic": True}))
    files.refuse_foreign()
    assert not files.needed(FACTS, Existing.REFUSE)
    files.write(image(0.7), None, FACTS | {"Samples": 1}, source)
    assert not files.std.exists()
    files.sidecar.write_text(json.dumps(FACTS | {"Synthetic": True, "Samples": 1}))
    write_volume(files.std, image(0.1))
    with pytest.raises(UsageError, match="a_std"):
        files.refuse_foreign()


def test_a_sidecar_claims_no_names_but_its_own(files: PredictionFiles, source: Path) -> None:
    facts = json.loads(files.sidecar.read_text())
    other = files.volume.with_name("other.nii.gz")
    other.write_bytes(files.std.read_bytes())
    facts["Files"] |= {"other.nii.gz": facts["Files"]["a_std.nii.gz"], "../in/source.nii.gz": "0"}
    files.sidecar.write_text(json.dumps(facts))
    files.write(image(0.7), None, FACTS, source)
    assert other.exists()
    assert source.exists()
