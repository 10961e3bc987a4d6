"""The page as text: what stands in it, and that it needs nothing else."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.cli import main
from mrcontrast.errors import UsageError
from mrcontrast.report.evaluation import read_evaluation
from mrcontrast.report.page import Choices, write_report
from mrcontrast.report.sessions import find_sessions, read_images
from mrcontrast.report.viewer import largest_error_mm
from mrcontrast.storage.volume import Volume


class Reader(HTMLParser):
    """The elements of a page, and its text outside of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._script: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._script = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return read(write_report(evaluated, tmp_path_factory.mktemp("page") / "report.html"))


def test_it_says_what_was_compared_and_how(page: Reader) -> None:
    for text in ("Research only", "not for diagnosis", "6 subjects", "percentile-0-99.5"):
        assert text in page.text
    for fact in ("abababababab", "EulerFlow", "none: voxels as stored", "quantised to 8 bits"):
        assert fact in page.text
    assert "32 × 40 × 24 voxels of 5 mm" in page.text


def test_its_figures_are_those_of_the_summary(page: Reader, evaluated: Path) -> None:
    summary = json.loads((evaluated / "summary.json").read_text())
    for method in summary["methods"].values():
        assert f"{method['brain']['psnr']['mean']:.2f}" in page.text
        assert f"{method['image']['mae']['mean']:.4f}" in page.text


def test_nothing_is_loaded_from_elsewhere(page: Reader) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, address)
    assert "@import" not in page.scripts["style"]
    assert "url(" not in page.scripts["style"]


def test_pictures_and_plots_have_words(page: Reader) -> None:
    images = page.all("img")
    assert len(images) == 4 * 5  # two worst, two best: FLAIR, real, synthetic, error, spread
    assert all(image["alt"] for image in images)
    plots = page.all("svg")
    assert len(plots) >= 2 * 5 + 2 * 5  # metrics by region, and agreement by method
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    assert all(canvas["aria-label"] for canvas in page.all("canvas"))
    assert page.all("html")[0]["lang"] == "en"


def test_the_worst_subject_comes_first_and_the_method_with_uncertainty(page: Reader) -> None:
    data = json.loads(page.scripts["viewer-data"])
    assert data["method"] == "draws"
    assert [session["name"] for session in data["sessions"]] == [
        f"sub-{number:02d}" for number in (6, 1, 5, 2, 4, 3)
    ]
    assert [option.get("value") for option in page.all("option")][:6] == [
        f"sub-{number:02d}" for number in (6, 5, 4, 1, 2, 3)
    ]
    volumes = {
        name
        for session in data["sessions"]
        for name in (session["real"], *session["sources"].values())
    }
    assert volumes < page.scripts.keys()


def test_another_system_has_no_flair_and_no_uncertainty(foreign: Path, tmp_path: Path) -> None:
    page = read(write_report(foreign, tmp_path / "report.html"))
    data = json.loads(page.scripts["viewer-data"])
    assert (data["sources"], data["hasSpread"], data["window"]) == ({}, False, [0.0, 1.0])
    panes = [figure["id"] for figure in page.all("figure") if figure.get("class") == "pane"]
    assert panes == ["pane-real", "pane-synthetic", "pane-error"]
    assert "another system" in page.text
    assert "No source image is known" in page.text


def test_volumes_stay_within_the_allowed_size(evaluated: Path, tmp_path: Path) -> None:
    def shown(**wishes: float) -> tuple[list[str], float]:
        path = write_report(evaluated, tmp_path / "r.html", Choices(**wishes))
        scripts = read(path).scripts
        data = json.loads(scripts.get("viewer-data", '{"sessions": []}'))
        volumes = sum(len(text) for name, text in scripts.items() if re.match(r"s\d+-", name))
        return [session["name"] for session in data["sessions"]], volumes / 1e6

    names, megabytes = shown()
    assert len(names) == 6
    half, smaller = shown(max_megabytes=megabytes / 2)
    assert 0 < len(half) < 6
    assert half == names[: len(half)]
    assert smaller <= megabytes / 2
    assert shown(max_subjects=2) == (["sub-06", "sub-01"], pytest.approx(megabytes / 3, rel=0.2))
    assert shown(max_megabytes=0.001) == ([], 0)
    assert "--max-mb" in read(tmp_path / "r.html").text


def test_names_cannot_become_code(foreign: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    shutil.copytree(foreign, out)
    evil = "</script><script>alert(1)</script>"
    for name in ("summary.json", "subjects.csv"):
        text = (out / name).read_text()
        (out / name).write_text(re.sub(r'(?<=["/,])theirs(?=[",])', lambda m: evil, text))
    summary = json.loads((out / "summary.json").read_text())
    summary["inputs"]["predictions"] = {evil: str(foreign.parent / "theirs")}
    (out / "summary.json").write_text(json.dumps(summary | {"tests": [{"first": evil}]}))
    page = read(write_report(out))
    assert "alert(1)" not in page.scripts.get("script", "").replace(evil, "")
    assert json.loads(page.scripts["viewer-data"])["methods"] == [evil]
    assert evil in page.text


def test_tests_checks_and_whatever_else_there_is_are_shown(evaluated: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    shutil.copytree(evaluated, out)
    summary = json.loads((out / "summary.json").read_text())
    summary["tests"] = [{"first": "draws", "second": "smooth", "p_holm": 0.0625}]
    summary["checks"] = {"shuffle_sensitivity": {"psnr_drop_db": 9.25}}
    summary["distribution"] = {"fid_lite0_n6": {"draws": 1.5, "smooth": 2.5}}
    (out / "summary.json").write_text(json.dumps(summary))
    text = read(write_report(out)).text
    for piece in ("Statistical tests", "p holm", "0.0625", "Sanity checks", "PSNR drop db", "9.25"):
        assert piece in text
    assert "Further results" in text
    assert "FID lite0 n6" in text


def test_the_largest_error_is_found_in_the_brain(evaluated: Path) -> None:
    evaluation = read_evaluation(evaluated)
    images = read_images(find_sessions(evaluation)["sub-01"], evaluation)
    wrong = images.real.data.copy()
    wrong[16:19, 20:23, 10:13] -= 0.9
    wrong[0, 0, 0] += 5  # outside
    images.synthetic["ours"] = Volume(wrong, images.real.affine)
    expected = images.real.affine[:3, :3] @ np.array([17, 21, 11]) + images.real.affine[:3, 3]
    assert np.abs(largest_error_mm(images, "ours") - expected).max() <= 5


def test_the_commands_write_it(
    evaluated: Path, prepared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a" / "page.html"
    options = ["--method", "smooth", "--metric", "ssim", "--subjects", "1", "-o", str(out)]
    assert main(["report", str(evaluated.parent), *options]) == 0
    assert re.search(r"page\.html \(2\.\d MB\)", capsys.readouterr().out)
    data = json.loads(read(out).scripts["viewer-data"])
    assert (data["method"], len(data["sessions"])) == ("smooth", 1)
    predictions = ["--predictions", str(evaluated.parent / "predictions" / "smooth")]
    scores = ["--references", str(prepared_root), "--out", str(tmp_path / "b"), "--report"]
    assert main(["evaluate", *predictions, *scores]) == 0
    assert (tmp_path / "b" / "report.html").is_file()


@pytest.mark.parametrize("wishes", [{"method": "unet"}, {"metric": "fid"}])
def test_what_is_not_there_cannot_be_chosen(
    evaluated: Path, tmp_path: Path, wishes: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match=f"got {next(iter(wishes.values()))}"):
        write_report(evaluated, tmp_path / "r.html", Choices(**wishes))
    assert not (tmp_path / "r.html").exists()


def test_wrong_usage_and_absence_have_their_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert "got no summary.json" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--subjects", "-1"]) == 2
