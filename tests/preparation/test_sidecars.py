import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrcontrast.data.people import read_people
from mrcontrast.data.scan_tags import tags_of_scan
from mrcontrast.data.sidecars import Sidecars
from mrcontrast.preparation.bids import BidsPairs


def write(path: Path, **values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_acq-3d_FLAIR.nii.gz"


def test_the_nearest_sidecar_goes_before(tmp_path: Path, image: Path) -> None:
    write(tmp_path / "FLAIR.json", MagneticFieldStrength=1.5, Manufacturer="A", EchoTime=0.1)
    write(tmp_path / "acq-2d_FLAIR.json", EchoTime=0.9)  # another acquisition
    write(tmp_path / "T1w.json", EchoTime=0.002)  # another suffix
    write(tmp_path / "sub-01" / "sub-01_FLAIR.json", MagneticFieldStrength=3)
    write(image.with_name("sub-01_ses-2_acq-3d_FLAIR.json"), EchoTime=0.12, InversionTime=1.8)
    assert tags_of_scan(Sidecars(tmp_path).known(image), "flair") == {
        "flair_te_ms": 120.0,
        "flair_ti_ms": 1800.0,
        "field_strength_t": 3.0,
        "manufacturer": "A",
    }


def test_absent_stays_absent_and_nonsense_is_no_number(tmp_path: Path, image: Path) -> None:
    assert tags_of_scan(Sidecars(tmp_path).known(image), "flair") == {}
    sidecar = image.with_name("sub-01_ses-2_acq-3d_FLAIR.json")
    write(sidecar, MagneticFieldStrength="n/a", FlipAngle="NaN", EchoTime=[1], Manufacturer="")
    assert tags_of_scan(Sidecars(tmp_path).known(image), "flair") == {}
    sidecar.write_text("{not json")
    assert tags_of_scan(Sidecars(tmp_path).known(image), "flair") == {}


def test_sequence_and_scanner(tmp_path: Path, image: Path) -> None:
    write(
        image.with_name("sub-01_ses-2_acq-3d_FLAIR.json"),
        SequenceName="SPACE",
        ProtocolName="t2_flair",
        ManufacturersModelName="Skyra",
        InstitutionName="Here",
    )
    assert tags_of_scan(Sidecars(tmp_path).known(image), "flair") == {
        "flair_sequence": "SPACE",
        "scanner_model": "Skyra",
        "institution": "Here",
    }


def test_people(tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    table.write_text(
        "participant_id\tage\tsex\thandedness\nsub-01\t53.5\tfemale\tn/a\nsub-02\t>89\tM\tR\n"
        "sub-03\tNaN\tN/A\t nan\n"
    )
    assert read_people(table, "participant_id")[0] == {
        "sub-01": {"age": 53.5, "sex": "F"},
        "sub-02": {"age": ">89", "sex": "M", "handedness": "R"},
        "sub-03": {},
    }
    assert read_people(tmp_path / "none.tsv", "participant_id") == ({}, [])


def test_site_and_visit_reach_the_session(tmp_path: Path, write_pair) -> None:
    write_pair(tmp_path, "sub-01", "ses-1")
    write_pair(tmp_path, "sub-01", "ses-2")
    write_pair(tmp_path, "sub-02")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsite\nsub-01\t50\tBonn\n")
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\nses-2\t52\n")
    write(tmp_path / "T1w.json", RepetitionTime=2.3, PulseSequenceType="MPRAGE")
    first, second, third = BidsPairs(str(tmp_path)).index()[0]
    assert (first.site, third.site) == ("Bonn", tmp_path.name)
    assert (first.pair.tags["age"], second.pair.tags["age"]) == (50.0, 52.0)
    assert third.pair.tags == {"t1w_tr_ms": 2300.0, "t1w_sequence": "MPRAGE"}
    assert BidsPairs(str(tmp_path), site="Ulm").index()[0][0].site == "Ulm"


def test_a_folder_is_listed_once(
    tmp_path: Path, write_pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        write_pair(tmp_path, f"sub-{number}")
    write(tmp_path / "T1w.json", RepetitionTime=2.3)
    listed = []
    glob = Path.glob

    def count(path: Path, pattern: str) -> Iterator[Path]:
        if pattern.endswith(".json"):
            listed.append(path)
        return glob(path, pattern)

    monkeypatch.setattr(Path, "glob", count)
    entries, _ = BidsPairs(str(tmp_path)).index()
    assert [entry.pair.tags for entry in entries] == [{"t1w_tr_ms": 2300.0}] * 6
    assert listed.count(tmp_path) == 1
    assert len(listed) == len(set(listed))
