"""From files to files: no other file is replaced, and one fault does not stop the others."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.data.predictions import Existing
from mrcontrast.errors import UsageError
from mrcontrast.inference.files import translate_files
from mrcontrast.inference.sampling_options import DEFAULTS
from mrcontrast.inference.translation import Translation, Volumes
from mrcontrast.inference.translation_jobs import Job, file_job, folder_jobs
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_labels, write_volume

SHAPE = (6, 7, 8)
DATA = np.pad(np.random.default_rng(0).random((4, 5, 6)).astype(np.float32) + 1, 1)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


class Copy:
    """Return the source as its own translation."""

    source, target, progress = {"flair": None}, "t1w", None
    optional, shuffles_tags = (), False

    @property
    def reads(self) -> dict[str, None]:
        return self.source

    def __init__(self) -> None:
        self.fail: dict[float, Exception] = {}
        self.seen = 0

    def describe(self) -> dict[str, object]:
        return {"WeightsSHA256": "12ab", "Samples": DEFAULTS.samples}

    def tags_for(self, known: dict) -> dict:
        return {}

    def translate(
        self, volumes: Volumes, mask: np.ndarray | None, seed: int, tags: object = None
    ) -> Translation:
        self.seen += 1
        volume, *others = volumes
        assert len(others) == len(self.source) - 1
        if error := self.fail.get(float(volume.data[0, 0, 0])):
            raise error
        return Translation(volume, None, {}, 0.1)


@pytest.fixture
def copy() -> Copy:
    return Copy()


def save(path: Path, corner: float = 0.0) -> Path:
    data = DATA.copy()
    data[0, 0, 0] = corner
    write_volume(path, Volume(data, AFFINE))
    return path


def outside(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one(source: Path, output: Path, mask: Path | None = None) -> list[Job]:
    return [file_job({"flair": source}, "t1w", output, mask, 0)]


def std_is_input(folder: Path) -> list[Job]:
    return one(save(folder / "flair_std.nii.gz"), folder / "flair.nii.gz")


def std_is_mask(folder: Path) -> list[Job]:
    return one(save(folder / "f.nii.gz"), folder / "s.nii.gz", save(folder / "s_std.nii.gz"))


def same_file(folder: Path) -> list[Job]:
    return one(save(folder / "f.nii.gz"), folder / "x" / ".." / "f.nii.gz")


def symbolic_link(folder: Path) -> list[Job]:
    (folder / "o.nii.gz").symlink_to(save(folder / "f.nii.gz"))
    return one(folder / "f.nii.gz", folder / "o.nii.gz")


def link_is_input(folder: Path) -> list[Job]:
    (folder / "l.nii.gz").symlink_to(save(folder / "f.nii.gz"))
    return one(folder / "l.nii.gz", folder / "f.nii.gz")


def hard_link(folder: Path) -> list[Job]:
    os.link(save(folder / "f.nii.gz"), folder / "o.nii.gz")
    return one(folder / "f.nii.gz", folder / "o.nii.gz")


def linked_folder(folder: Path) -> list[Job]:
    save(folder / "in" / "f.nii.gz")
    (folder / "also").symlink_to(folder / "in")
    return one(folder / "in" / "f.nii.gz", folder / "also" / "f.nii.gz")


def other_case(folder: Path) -> list[Job]:
    return one(save(folder / "Flair.nii.gz"), folder / "FLAIR.nii.gz")


def other_ending(folder: Path) -> list[Job]:
    return one(save(folder / "f.nii"), folder / "f.nii.gz")


def sidecar_of_a_scan(folder: Path) -> list[Job]:
    (folder / "t.json").write_text('{"EchoTime": 0.003}')
    return one(save(folder / "f.nii.gz"), folder / "t.nii.gz")


def foreign_std(folder: Path) -> list[Job]:
    save(folder / "o_std.nii.gz")
    return one(save(folder / "f.nii.gz"), folder / "o.nii.gz")


def two_cases(folder: Path) -> list[Job]:
    for name in ("sub-a1", "sub-A1"):
        save(folder / "in" / f"{name}_FLAIR.nii.gz")
    return folder_jobs(folder / "in", ["flair"], "t1w", folder / "out", None, 0)


def output_is_another_input(folder: Path) -> list[Job]:
    first, second = save(folder / "a.nii.gz"), save(folder / "b_std.nii.gz")
    return [*one(first, folder / "b.nii.gz"), *one(second, folder / "c.nii.gz")]


def foreign_in_the_folder(folder: Path) -> list[Job]:
    for name in ("sub-1", "sub-2"):
        save(folder / "in" / f"{name}_FLAIR.nii.gz")
    save(folder / "out" / "sub-2_desc-synth_T1w.nii.gz")
    return folder_jobs(folder / "in", ["flair"], "t1w", folder / "out", None, 0)


def mask_of_a_person(folder: Path) -> list[Job]:
    save(folder / "o_desc-brain_mask.nii.gz")
    return [job.stripped() for job in one(save(folder / "f.nii.gz"), folder / "o.nii.gz")]


@pytest.mark.parametrize(
    "case",
    [
        *(std_is_input, std_is_mask, same_file, symbolic_link, link_is_input, hard_link),
        *(linked_folder, other_case, other_ending, sidecar_of_a_scan, foreign_std, two_cases),
        *(output_is_another_input, foreign_in_the_folder, mask_of_a_person),
    ],
)
@pytest.mark.parametrize("existing", [Existing.REFUSE, Existing.REPLACE, Existing.REDO])
def test_collisions_are_refused_before_work(
    tmp_path: Path, copy: Copy, case: Callable[[Path], list[Job]], existing: Existing
) -> None:
    jobs = case(tmp_path)
    before = outside(tmp_path)
    with pytest.raises(UsageError) as caught:
        translate_files(jobs, copy, existing)
    assert "\n" not in str(caught.value)
    assert copy.seen == 0
    assert outside(tmp_path) == before


@pytest.mark.parametrize(
    "error", [MemoryError("1.76 PiB"), RuntimeError("broken"), np.linalg.LinAlgError("singular")]
)
def test_a_fault_of_any_kind_does_not_end_a_folder(
    tmp_path: Path, copy: Copy, error: Exception
) -> None:
    for number in range(3):
        save(tmp_path / "in" / f"sub-{number}_FLAIR.nii.gz", number)
    copy.fail[1.0] = error
    jobs = folder_jobs(tmp_path / "in", ["flair"], "t1w", tmp_path / "out", None, 0)
    outcome = translate_files(jobs, copy, Existing.REFUSE)
    assert list(outcome.written) == ["sub-0_FLAIR", "sub-2_FLAIR"]
    (message,) = outcome.failed.values()
    assert str(error) in message
    assert "sub-1_FLAIR.nii.gz" in message
    assert len(list((tmp_path / "out").iterdir())) == 4  # nothing is left of sub-1


def test_a_sidecar_that_names_another_contrast_fails_its_file_alone(
    tmp_path: Path, copy: Copy
) -> None:
    for number in range(2):
        save(tmp_path / "in" / f"sub-{number}_FLAIR.nii.gz")
    (tmp_path / "in" / "sub-1_FLAIR.json").write_text('{"SeriesDescription": "t2_tse_tra"}')
    given = (tmp_path / "in", ["flair"], "t1w", tmp_path / "out", None, 0)
    outcome = translate_files(folder_jobs(*given), copy, Existing.REFUSE)
    assert list(outcome.written) == ["sub-0_FLAIR"]
    assert "T2w by SeriesDescription" in outcome.failed["sub-1_FLAIR"]
    assert "--any-contrast" in outcome.failed["sub-1_FLAIR"]
    again = translate_files(folder_jobs(*given, any_contrast=True), copy, Existing.REFUSE)
    assert list(again.written) == ["sub-1_FLAIR"]


def test_a_name_that_is_not_utf8_is_translated(tmp_path: Path, copy: Copy) -> None:
    save(tmp_path / "in" / "sub-1_FLAIR.nii.gz")
    shutil.copy(
        tmp_path / "in" / "sub-1_FLAIR.nii.gz", os.fsencode(tmp_path) + b"/in/sub-\xff_FLAIR.nii.gz"
    )
    jobs = folder_jobs(tmp_path / "in", ["flair"], "t1w", tmp_path / "out", None, 0)
    outcome = translate_files(jobs, copy, Existing.REFUSE)
    assert len(outcome.written) == 2
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 2
    assert translate_files(jobs, copy, Existing.REFUSE).kept == list(outcome.written)


def test_out_may_hold_in(tmp_path: Path, copy: Copy) -> None:
    save(tmp_path / "in" / "sub-1_FLAIR.nii.gz")
    jobs = folder_jobs(tmp_path / "in", ["flair"], "t1w", tmp_path, None, 0)
    assert list(translate_files(jobs, copy, Existing.REFUSE).written) == ["sub-1_FLAIR"]


def test_a_mask_link_without_content_is_not_passed_over(tmp_path: Path, copy: Copy) -> None:
    save(tmp_path / "in" / "sub-1_FLAIR.nii.gz")
    link = tmp_path / "in" / "sub-1_desc-brain_mask.nii.gz"
    link.symlink_to("../.git/annex/objects/x/y.nii.gz")
    jobs = folder_jobs(tmp_path / "in", ["flair"], "t1w", tmp_path / "out", None, 0)
    (message,) = translate_files(jobs, copy, Existing.REFUSE).failed.values()
    assert "git-annex" in message


def test_an_empty_mask_is_named(tmp_path: Path, copy: Copy) -> None:
    mask = tmp_path / "m.nii.gz"
    write_labels(mask, np.zeros(SHAPE), AFFINE)
    jobs = one(save(tmp_path / "f.nii.gz"), tmp_path / "o.nii.gz", mask)
    (message,) = translate_files(jobs, copy, Existing.REFUSE).failed.values()
    assert "above 0.5, got none" in message
    assert str(mask) in message


def test_a_stripped_brain_is_written_and_replaced(
    tmp_path: Path, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mrcontrast.imaging.skull_strip.strip_skull", lambda volume: volume.data > 1.5
    )
    source, output = save(tmp_path / "a_FLAIR.nii.gz"), tmp_path / "a_desc-synth_T1w.nii.gz"
    mask = tmp_path / "a_desc-brain_mask.nii.gz"
    for existing in (Existing.REFUSE, Existing.REDO):
        (job,) = one(source, output)
        assert translate_files([job.stripped()], copy, existing).written
        np.testing.assert_array_equal(read_mask(mask, read_volume(source)), DATA > 1.5)
    assert mask.name in json.loads(output.with_name("a_desc-synth_T1w.json").read_text())["Files"]
    (job,) = one(source, output)
    assert translate_files([job.stripped()], copy, Existing.REFUSE).kept
    assert job.mask == mask  # without --strip-skull it is a mask as any other
    assert translate_files([job], copy, Existing.REDO).written
    assert mask.exists()


def test_remarks_are_kept_and_written(tmp_path: Path, copy: Copy) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(DATA, AFFINE)
    image.set_qform(None, 0)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "f.nii.gz")
    outcome = translate_files(
        one(tmp_path / "f.nii.gz", tmp_path / "o.nii.gz"), copy, Existing.REFUSE
    )
    (said,) = outcome.remarks["f.nii.gz"]
    assert "neither qform nor sform" in said
    assert json.loads((tmp_path / "o.json").read_text())["Remarks"] == [said]
