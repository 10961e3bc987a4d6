from pathlib import Path

import pytest

from mrcontrast.errors import UsageError
from mrcontrast.preparation.table import TablePairs

HEAD = "subject\tsession\tsite\tflair\tt1w\tbrain_mask\tage\tscanner\n"


def test_rows_become_sessions(tmp_path: Path, bids: Path) -> None:
    anat = bids / "sub-01" / "anat"
    files = f"{anat / 'sub-01_FLAIR.nii.gz'}\tbids/sub-01/anat/sub-01_T1w.nii.gz"
    table = tmp_path / "pairs.tsv"
    table.write_text(
        f"{HEAD}P_1\tses-2\tBonn\t{files}\tn/a\t61\tSkyra\n"
        f"sub-02\t\t\t{files}\t\tn/a\t\n"
        f"sub-03\t\t\t{files.replace('_T1w', '_none')}\t\t\t\n"
        f"sub-04\t\t\t{anat / 'sub-01_FLAIR.nii.gz'}\t\t\t\t\n"
        f"\t\t\t{files}\t\t\t\n"
    )
    entries, dropped = TablePairs(str(table)).index()
    assert [(e.subject, e.session, e.site) for e in entries] == [
        ("sub-P1", "ses-2", "Bonn"),
        ("sub-02", None, "pairs"),
    ]
    assert entries[0].pair.load().tags == {"age": 61.0, "scanner": "Skyra"}
    assert entries[1].pair.load().tags == {}
    assert [item.name for item in dropped] == ["sub-03", "sub-04", "sub-line6"]
    assert "sub-01_none.nii.gz" in dropped[0].reason
    assert "got no t1w" in dropped[1].reason
    assert f"{table}:6" in dropped[2].reason
    assert str(anat) in TablePairs(str(table)).folders


@pytest.mark.parametrize("cell", ["nan", "NaN", "inf", "-Infinity", "n/a"])
def test_what_is_no_finite_number_is_absent(tmp_path: Path, bids: Path, cell: str) -> None:
    anat = bids / "sub-01" / "anat"
    files = f"{anat / 'sub-01_FLAIR.nii.gz'}\t{anat / 'sub-01_T1w.nii.gz'}"
    (tmp_path / "pairs.tsv").write_text(f"{HEAD}P_1\t\t\t{files}\t\t{cell}\tSkyra\n")
    (entry,) = TablePairs(str(tmp_path / "pairs.tsv")).index()[0]
    assert entry.pair.load().tags == {"scanner": "Skyra"}


def test_what_cannot_be_a_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="source=FILE"):
        TablePairs(str(tmp_path / "none.tsv"))
    (tmp_path / "pairs.tsv").write_text("subject,flair,t1w\n")
    with pytest.raises(UsageError, match="no subject, flair, t1w"):
        TablePairs(str(tmp_path / "pairs.tsv"))
