"""The wheel carries configs, models and the assets of the report: it works elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_an_installed_wheel_works_elsewhere(tmp_path):
    pip = [sys.executable, "-m", "pip"]
    target = tmp_path / "site"
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--target", str(target), str(ROOT)], check=True
    )
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mrcontrast.cli as cli;"
        "assert cli.__file__.startswith(sys.argv[1]), cli.__file__;"
        "sys.exit(cli.main(['train', '--help']))"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", script, str(target)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "autoencoder" in result.stdout
    assert (target / "mrcontrast" / "configs" / "train.yaml").is_file()
    model = target / "mrcontrast" / "models" / "phantom-2d"
    assert (model / "controlnet" / "weights.safetensors").is_file()
    assert (model / "README.md").is_file()
    assets = target / "mrcontrast" / "report" / "html" / "assets"
    for name in ("page.html.j2", "viewer.js", "niivue/niivue.umd.js", "niivue/LICENSE.txt"):
        assert (assets / name).is_file()
