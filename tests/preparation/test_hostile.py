"""A tree of files as hospitals send them: nothing crashes, nothing is lost, each is named."""

import csv
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mrcontrast.data.manifest import Manifest
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.dataset import Prepared, prepare_dataset
from mrcontrast.preparation.duplicates import Deduplicate
from mrcontrast.preparation.operators import CheckHeader
from mrcontrast.preparation.session import BROKEN
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.volume import write_labels

Spoil = Callable[[Path, Path], None]
FINE, EITHER = "prepared", "prepared or named"


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return image.get_fdata(), image.affine


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(data, affine), path)


def change(make: Callable[[np.ndarray], np.ndarray], both: bool = False) -> Spoil:
    """Return what changes the voxels of the FLAIR, or of both."""

    def spoil(flair: Path, t1w: Path) -> None:
        for path in (flair, t1w) if both else (flair,):
            data, affine = load(path)
            save(path, make(data), affine)

    return spoil


def move(make: Callable[[np.ndarray], np.ndarray], both: bool = False) -> Spoil:
    """Return what changes the affine of the FLAIR, or of both."""

    def spoil(flair: Path, t1w: Path) -> None:
        for path in (flair, t1w) if both else (flair,):
            data, affine = load(path)
            header = nib.Nifti1Header()
            header.set_data_shape(data.shape)
            header.set_data_dtype(np.float32)
            changed = make(affine.copy())
            for row, values in zip(("srow_x", "srow_y", "srow_z"), changed, strict=False):
                header[row] = values
            header["sform_code"], header["pixdim"][1:4] = 1, 3
            write_raw(path, header, data.astype("<f4").tobytes(order="F"))

    return spoil


def field(**values: object) -> Spoil:
    """Return what overwrites fields of the FLAIR's header, unchecked."""

    def spoil(flair: Path, t1w: Path) -> None:
        raw = gzip.decompress(flair.read_bytes())
        header = nib.Nifti1Header(raw[:348], check=False)
        for name, value in values.items():
            header[name] = value
        flair.write_bytes(gzip.compress(header.binaryblock + raw[348:]))

    return spoil


def write_raw(path: Path, header: nib.Nifti1Header, voxels: bytes) -> None:
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.write_bytes(gzip.compress(header.binaryblock + b"\0" * 4 + voxels))


def content(made: Callable[[bytes], bytes]) -> Spoil:
    """Return what changes the bytes of the FLAIR's file."""
    return lambda flair, t1w: (flair.write_bytes(made(flair.read_bytes())), None)[1]


def renamed(ending: str) -> Spoil:
    def spoil(flair: Path, t1w: Path) -> None:
        flair.rename(flair.with_name(flair.name.replace(".nii.gz", ending)))

    return spoil


def typed(dtype: np.dtype) -> Spoil:
    def spoil(flair: Path, t1w: Path) -> None:
        data, affine = load(flair)
        made = np.zeros(data.shape, dtype) if dtype.names else data.astype(dtype)
        save(flair, made, affine)

    return spoil


def scaled(flair: Path, t1w: Path) -> None:
    data, affine = load(flair)
    image = nib.Nifti1Image(data, affine)
    image.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.25, 0)
    nib.save(image, flair)


def swapped(flair: Path, t1w: Path) -> None:
    data, affine = load(flair)
    nib.save(nib.Nifti1Image(data, affine, nib.Nifti1Header(endianness=">")), flair)


def constant(data: np.ndarray) -> np.ndarray:
    return np.where(data > 0, 7.0, 0.0)


def with_value(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def made(data: np.ndarray) -> np.ndarray:
        data[10, 10, 10] = value
        return data

    return made


def plain_as_gz(flair: Path, t1w: Path) -> None:
    flair.write_bytes(gzip.decompress(flair.read_bytes()))


def gz_as_plain(flair: Path, t1w: Path) -> None:
    flair.rename(flair.with_name(flair.name.removesuffix(".gz")))


def gone(which: int) -> Spoil:
    return lambda *paths: paths[which].unlink()


def linked(target: str) -> Spoil:
    def spoil(flair: Path, t1w: Path) -> None:
        flair.unlink()
        flair.symlink_to(flair.name if target == "itself" else target)

    return spoil


def folder_instead(flair: Path, t1w: Path) -> None:
    flair.unlink()
    flair.mkdir()


def pipe_instead(flair: Path, t1w: Path) -> None:
    flair.unlink()
    os.mkfifo(flair)


def empty_folder(flair: Path, t1w: Path) -> None:
    shutil.rmtree(flair.parent)


def double_of_good(flair: Path, t1w: Path) -> None:
    for path, kind in ((flair, "FLAIR"), (t1w, "T1w")):
        good = flair.parents[2] / "sub-00" / "anat" / f"sub-00_{kind}.nii.gz"
        path.write_bytes(good.read_bytes())


def second_run(flair: Path, t1w: Path) -> None:
    shutil.copy(flair, flair.with_name(flair.name.replace("_FLAIR", "_run-2_FLAIR")))


def mask(data: np.ndarray, affine: np.ndarray) -> Spoil:
    def spoil(flair: Path, t1w: Path) -> None:
        write_labels(flair.with_name(flair.name.replace("FLAIR", "desc-brain_mask")), data, affine)

    return spoil


def shut(flair: Path, t1w: Path) -> None:
    flair.chmod(0)


DICOM = b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0" * 60
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
SINGULAR = np.diag([3.0, 3.0, 0.0, 1.0])
SHEAR = np.array([[1, 0.4, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
AFFINE = np.array([[-3.0, 0, 0, 28], [0, 3, 0, -40], [0, 0, 3, -30], [0, 0, 0, 1]])

# What is done to a good pair, and a part of the reason, or FINE.
CASES: dict[str, tuple[Spoil, str]] = {
    "truncated": (content(lambda raw: raw[:-400]), "truncated or damaged"),
    "truncated-header": (content(lambda raw: raw[:40]), "header"),
    "zero-byte": (content(lambda raw: b""), "an empty file"),
    "text": (content(lambda raw: b"see attached"), "no gzip"),
    "picture": (content(lambda raw: b"\x89PNG\r\n\x1a\n" + raw), "no gzip"),
    "dicom": (content(lambda raw: DICOM), "DICOM"),
    "zipped-dicom": (content(lambda raw: gzip.compress(DICOM)), "NIfTI"),
    "zipped-nothing": (content(lambda raw: gzip.compress(b"")), "NIfTI"),
    "damaged": (content(lambda raw: raw[:-90] + bytes(90)), "damaged"),
    "not-zipped": (plain_as_gz, "no gzip"),
    "zipped-as-nii": (gz_as_plain, "under the name of a plain one"),
    "extension-txt": (renamed(".nii.txt"), "FLAIR.nii.txt"),
    "extension-dcm": (renamed(".dcm"), "none like"),
    "extension-mha": (renamed(".mha"), "none like"),
    "lower-case": (
        lambda f, t: (f.rename(f.with_name(f.name.lower())), None)[1],
        "none like",
    ),
    "4d": (change(lambda data: np.stack([data, data], axis=-1)), "20x26x22x2"),
    "4d-of-one": (change(lambda data: data[..., None], both=True), FINE),
    "2d": (change(lambda data: data[..., 10]), "20x26"),
    "rgb": (typed(RGB), "RGB"),
    "complex": (typed(np.dtype(np.complex64)), "complex"),
    "scaled-integers": (scaled, FINE),
    "big-endian": (swapped, FINE),
    "doubles": (typed(np.dtype(np.float64)), FINE),
    "nan": (change(with_value(np.nan)), "1 NaN"),
    "infinite": (change(with_value(np.inf)), "1 NaN or infinite"),
    "zeros": (change(np.zeros_like), "only zeros"),
    "constant": (change(constant), "as labels have"),
    "with-head": (change(lambda data: data + 5), "skull-stripped"),
    "negative-spacing": (field(pixdim=[-1, -3, -3, -3, 1, 1, 1, 1]), EITHER),
    "zero-spacing": (field(pixdim=[1, 0, 0, 0, 1, 1, 1, 1]), "spacing_mm"),
    "no-axes": (field(dim=[0, 0, 0, 0, 0, 0, 0, 0]), "dims"),
    "negative-axis": (field(dim=[3, 20, -26, 22, 1, 1, 1, 1]), "dims"),
    "giant-axes": (field(dim=[3, 20000, 20000, 20000, 1, 1, 1, 1]), "truncated or damaged"),
    "unknown-type": (field(datatype=77), "dtype"),
    "infinite-slope": (field(scl_slope=np.inf), "scaling"),
    "far-voxels": (field(vox_offset=1e9), "damaged"),
    "metres": (field(xyzt_units=1), "units"),
    "huge-offset": (move(lambda a: a + np.pad([[1e6]], ((0, 3), (3, 0)))), "mm apart"),
    "huge-offset-of-both": (move(lambda a: a + np.pad([[1e6]], ((0, 3), (3, 0))), True), FINE),
    "singular": (move(lambda a: SINGULAR), "singular"),
    "nan-affine": (move(lambda a: a * np.nan), "affine"),
    "sheared": (move(lambda a: a @ SHEAR, both=True), FINE),
    "shifted": (move(lambda a: a + np.pad([[2.0]], ((0, 3), (3, 0)))), "corners 2 mm apart"),
    "cropped": (change(lambda data: data[1:]), "19x26x22"),
    "no-t1w": (gone(1), "Expected a T1w"),
    "no-flair": (gone(0), "Expected a FLAIR"),
    "empty": (empty_folder, "no file"),
    "two-flairs": (second_run, FINE),
    "double": (double_of_good, "one person under two ids"),
    "loop": (linked("itself"), "a link to a missing file"),
    "dangling": (linked("/nowhere/at/all"), "a link to a missing file"),
    "annexed": (linked("../../.git/annex/objects/Xq/3z/MD5E-s9--a/MD5E-s9--a"), "datalad get"),
    "pointer": (content(lambda raw: b"/annex/objects/MD5E-s9--a.nii.gz\n"), "git annex get"),
    "lfs": (content(lambda raw: b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "folder": (folder_instead, "a folder"),
    "pipe": (pipe_instead, "no regular file"),
    "empty-mask": (mask(np.zeros((20, 26, 22)), AFFINE), "empty one"),
    "other-mask": (mask(np.ones((4, 4, 4)), AFFINE), "4x4x4"),
    "unreadable": (shut, FINE if os.geteuid() == 0 else "ermission"),
    "Zoë's head, 7": (lambda flair, t1w: None, FINE),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS tree of one good subject and one hostile one for each case."""
    from mrcontrast.storage.volume import write_volume
    from preparation_files import raw_volume

    root = tmp_path_factory.mktemp("hospital") / "BIDS of Zoë & co"
    for number, name in enumerate(["00", *CASES]):
        flair = root / f"sub-{name}" / "anat" / f"sub-{name}_FLAIR.nii.gz"
        t1w = flair.with_name(f"sub-{name}_T1w.nii.gz")
        write_volume(flair, raw_volume(number, 300))
        write_volume(t1w, raw_volume(1000 + number, 900))
        if name in CASES:
            CASES[name][0](flair, t1w)
    (root / "sub-ring").symlink_to(root)
    (root / "participants.tsv").write_bytes(b"participant_id\tsex\nsub-00\tF\nsub-\xff\xfe\t\n")
    return root


def files_of(root: Path) -> dict[str, str]:
    """Return what stands in a tree: the hash of each file, the target of each link."""
    found = {}
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            found[str(path)] = sha256_file(path) if path.is_file() else "no file"
    return found


@pytest.fixture(scope="module")
def prepared(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Path]:
    from preparation_files import recipe_of

    out = tmp_path_factory.mktemp("prepared") / "out"
    recipe = recipe_of(BidsPairs(str(tree)), deduplicate=Deduplicate())
    recipe.operators.insert(0, CheckHeader())
    before = files_of(tree)
    made = prepare_dataset(recipe, out, "recipe: hostile\n", 1, lambda line: None)
    assert files_of(tree) == before
    return made, out


def test_there_are_more_than_forty() -> None:
    assert len([name for name, (_, reason) in CASES.items() if reason not in (FINE, EITHER)]) >= 40


@pytest.mark.parametrize("name", CASES)
def test_each_is_prepared_or_named_with_its_reason(
    prepared: tuple[Prepared, Path], name: str
) -> None:
    made, out = prepared
    records = [record for record in made.manifest.records if record.subject == f"sub-{name}"]
    with (out / "dropped.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    reasons = [row["reason"] for row in rows if row["item"] == f"sub-{name}"]
    assert len(records) + len(reasons) == 1, reasons
    if CASES[name][1] == EITHER:  # the sform may count or not
        return
    if CASES[name][1] == FINE:
        assert records, reasons
        assert records[0].sha256["flair"] == sha256_file(records[0].images["flair"])
    else:
        assert reasons, "expected a reason"
        assert CASES[name][1] in reasons[0]
        assert reasons[0].startswith("Expected "), "one of our own sentences"


def test_nothing_broke_and_a_link_to_the_tree_itself_is_no_subject(
    prepared: tuple[Prepared, Path], tree: Path
) -> None:
    made, out = prepared
    assert [item for item in made.dropped if item.kind == BROKEN] == []
    known = {record.subject for record in made.manifest.records}
    known |= {item.subject for item in made.dropped}
    assert known == {"sub-00", "sub-ring", *(f"sub-{name}" for name in CASES)}
    assert Manifest.read(out).records == made.manifest.records


def test_scaled_integers_are_scaled(prepared: tuple[Prepared, Path], tree: Path) -> None:
    (record,) = (r for r in prepared[0].manifest.records if r.subject == "sub-scaled-integers")
    data, _ = load(tree / "sub-scaled-integers" / "anat" / "sub-scaled-integers_FLAIR.nii.gz")
    assert record.normalisers["flair"]["high"] == pytest.approx(np.percentile(data, 99.5), rel=0.3)
