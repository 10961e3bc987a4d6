"""The page in a real browser: it loads in silence, its panes draw, its crosshairs are linked."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from browser import Page, find_browser
from mrcontrast.report.evaluation import read_evaluation
from mrcontrast.report.page import Choices, write_report
from mrcontrast.report.sessions import Images, find_sessions, read_images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine"),
]
PANES = ("source-flair", "real", "synthetic", "error", "spread")
STATE = "document.getElementById('viewer-box').dataset.state"
PLACES = (
    "Object.fromEntries([...mrcontrastReport.panes].map(([name, {viewer}]) =>"
    "[name, [...viewer.frac2mm(viewer.scene.crosshairPos)].slice(0, 3)]))"
)
VALUES = (
    "Object.fromEntries([...document.querySelectorAll('.pane')].map(pane =>"
    "[pane.id.slice(5), pane.querySelector('.value').textContent]))"
)


@pytest.fixture(scope="module")
def page(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("browser")
    path = write_report(evaluated, folder / "report.html")
    with Page(folder / "profile", height=500) as opened:
        opened.open(path)
        yield opened


def start(page: Page) -> None:
    page.place("#viewer-box")
    page.wait(lambda: page.run(STATE) in ("ready", "failed"))
    assert page.run(STATE) == "ready", page.run("document.body.innerText")


def choose(page: Page, name: str, value: str) -> None:
    page.run(
        f"(() => {{ const e = document.getElementById('choose-{name}'); e.value = '{value}';"
        "e.dispatchEvent(new Event('change')); })()"
    )
    page.wait(lambda: page.run(STATE) == "ready")


def picture(page: Page, name: str) -> np.ndarray:
    """Return what a pane shows, (rows, columns, 3) in [0, 1]."""
    return imread(io.BytesIO(page.picture(f"#canvas-{name}")))[..., :3]


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def value_at(volume: Any, mm: list[float]) -> float:
    voxel = np.linalg.solve(volume.affine, [*mm, 1])[:3]
    return float(volume.data[tuple(np.round(voxel).astype(int))])


@pytest.fixture(scope="module")
def worst(evaluated: Path) -> Images:
    evaluation = read_evaluation(evaluated)
    return read_images(find_sessions(evaluation)["sub-06"], evaluation)


def test_volumes_wait_for_a_reader_and_then_all_panes_draw(page: Page) -> None:
    assert page.run(STATE) == "waiting"
    start(page)
    for name in PANES:
        shown = picture(page, name)
        assert shown.std() > 0.03, name
        colourful = np.ptp(shown, axis=2).max() > 0.3
        assert len(np.unique(shown.round(2).reshape(-1, 3), axis=0)) > 20, name
        assert colourful, name  # the crosshair at the least
    assert page.faults() == []


def test_a_click_moves_the_crosshair_of_all_panes(page: Page, worst: Images) -> None:
    start(page)
    before, pictures = page.run(PLACES), {name: picture(page, name) for name in PANES}
    place = page.place("#canvas-real")
    page.click(place["x"] + 0.36 * place["width"], place["y"] + 0.4 * place["height"])
    page.wait(lambda: page.run(PLACES)["real"] != before["real"])
    after = page.run(PLACES)
    for name in PANES:
        assert np.abs(np.subtract(after[name], before[name])).max() > 5, name
        np.testing.assert_allclose(after[name], after["real"], atol=0.1, err_msg=name)
        assert np.abs(picture(page, name) - pictures[name]).max() > 0.3, name
    values = {name: number(text) for name, text in page.run(VALUES).items()}
    assert values["error"] == pytest.approx(values["synthetic"] - values["real"], abs=2e-3)
    for name, volume in (
        ("source-flair", worst.sources["flair"]),
        ("real", worst.real),
        ("synthetic", worst.synthetic["draws"]),
        ("spread", worst.spread["draws"]),
    ):
        assert values[name] == pytest.approx(value_at(volume, after["real"]), abs=5e-3), name


def test_radiological_view_and_the_largest_error(page: Page) -> None:
    start(page)
    place = page.place("#canvas-real")
    page.click(place["x"] + 0.3 * place["width"], place["y"] + 0.3 * place["height"])
    x, y, _ = page.run(PLACES)["real"]
    assert x > 5  # the patient's right at the left
    assert y > 5  # the front at the top
    page.run("document.getElementById('go-peak').click()")
    peak = page.run("mrcontrastReport.data.sessions[0].methods.draws.peak")
    np.testing.assert_allclose(page.run(PLACES)["error"], peak, atol=0.1)


def test_another_method_subject_view_and_scale(page: Page) -> None:
    start(page)
    choose(page, "method", "smooth")
    assert "no uncertainty map" in page.run(
        "document.querySelector('#pane-spread .absent').innerText"
    )
    assert page.run("document.getElementById('canvas-error').ariaLabel").endswith("sub-06, smooth")
    page.run("document.querySelector('[data-session=sub-02]').click()")
    page.wait(lambda: "sub-02" in page.run("document.getElementById('viewer-status').innerText"))
    page.wait(lambda: page.run(STATE) == "ready")
    narrow = picture(page, "error")
    choose(page, "error", "0.25")
    assert picture(page, "error").mean() > 1.2 * narrow.mean()
    assert page.run("document.querySelector('#pane-error .high').innerText") == "0.075"
    single = picture(page, "real")
    choose(page, "view", "multiplanar")
    assert np.abs(picture(page, "real") - single).mean() > 0.02
    choose(page, "view", "axial")
    choose(page, "method", "draws")
    assert not page.run("document.querySelector('#pane-spread .absent').innerText")
    assert page.faults() == []


def test_of_hasty_choices_the_last_one_stays(page: Page) -> None:
    start(page)
    page.run(
        "['smooth', 'draws', 'smooth', 'draws', 'smooth'].forEach((name) => {"
        "const e = document.getElementById('choose-method'); e.value = name;"
        "e.dispatchEvent(new Event('change')); })"
    )
    page.wait(lambda: page.run(STATE) == "ready")
    counts = "[...mrcontrastReport.panes.values()].map(({viewer}) => viewer.volumes.length)"
    assert page.run(counts) == [1, 1, 1, 1, 0]
    assert page.run("document.getElementById('canvas-error').ariaLabel").endswith("smooth")
    choose(page, "method", "draws")
    assert page.run(counts) == [1] * 5


def test_nothing_is_asked_of_the_network(page: Page) -> None:
    start(page)
    asked = [url for url in page.requests() if not url.startswith(("data:", "blob:"))]
    assert len(asked) == 1  # the page itself
    assert asked[0].startswith("file://")


def test_a_narrow_window_needs_no_scrolling_sideways(page: Page) -> None:
    page.resize(400, 800)
    assert page.run("document.documentElement.scrollWidth") <= 400
    page.resize(1400, 500)


def test_two_folders_of_another_system_are_enough(foreign: Path, tmp_path: Path) -> None:
    path = write_report(foreign, tmp_path / "report.html", Choices(max_subjects=2))
    with Page(tmp_path / "profile") as page:
        page.open(path)
        start(page)
        for name in ("real", "synthetic", "error"):
            assert picture(page, name).std() > 0.03
        assert page.run("document.querySelectorAll('.pane').length") == 3
        assert page.faults() == []


def test_without_webgl_it_says_so(foreign: Path, tmp_path: Path) -> None:
    path = write_report(foreign, tmp_path / "report.html", Choices(max_subjects=1))
    with Page(tmp_path / "profile") as page:
        blind = "HTMLCanvasElement.prototype.getContext = () => null"
        page.send("Page.addScriptToEvaluateOnNewDocument", source=blind)
        page.open(path)
        page.place("#viewer-box")
        page.wait(lambda: page.run(STATE) == "failed")
        assert "WebGL 2" in page.run("document.getElementById('viewer-status').innerText")
