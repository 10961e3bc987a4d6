import hashlib
from pathlib import Path

from mrcontrast.pages import templates
from mrcontrast.report.page import NIIVUE

ASSETS = Path(templates.__file__).parent / "assets"


def test_the_viewer_is_the_release_that_its_readme_names() -> None:
    script = (ASSETS / "niivue" / "niivue.umd.js").read_bytes()
    readme = (ASSETS / "niivue" / "README.md").read_text()
    assert hashlib.sha256(script).hexdigest() in readme
    assert f"`@niivue/niivue` {NIIVUE}" in readme
    licence = (ASSETS / "niivue" / "LICENSE.txt").read_text()
    assert f"NiiVue {NIIVUE}" in licence
    assert "BSD 2-Clause License" in licence


def test_scripts_can_stand_inside_a_page() -> None:
    for path in ASSETS.rglob("*.js"):
        text = path.read_text(encoding="utf-8").lower()
        assert "</script" not in text
        assert "<!--" not in text
