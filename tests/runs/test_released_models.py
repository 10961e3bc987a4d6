"""The released models as they come with the package: whole, small, told of, and good."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.sampling_options import DEFAULTS, SamplingOptions
from mrcontrast.metrics.structural import ssim
from mrcontrast.metrics.voxelwise import peak_signal_to_noise
from mrcontrast.phantom import PhantomConfig, make_subject
from mrcontrast.runs.released import MODELS, released_models
from mrcontrast.storage.volume import Volume, read_volume
from mrcontrast.tracking.references import open_run
from mrcontrast.transforms.normalise import PercentileNormaliser

RUNS = sorted(path.parent for path in MODELS.glob("*/*/weights.safetensors"))
MOST_BYTES = 15e6  # of a model, all its runs together
HALF = SamplingOptions(temperature=0.5, precision="bf16-mixed")  # as the cards have one draw


def test_the_models_are_there() -> None:
    assert released_models() == ["phantom-2d", "phantom-2d-1mm", "phantom-3d"]
    assert {open_run(name).stage_name for name in released_models()} == {"controlnet"}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.parent.name}-{run.name}")
def test_a_run_is_whole_and_names_no_folder_of_its_maker(run: Path) -> None:
    folder = open_run(run)
    folder.verify()
    for path in (folder.config_path, folder.provenance_path):
        assert not re.search(r"(?<![\w.])/(work|home|tmp|root)\b", path.read_text())
    assert folder.provenance["data_hash"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", folder.provenance["git_sha"])


@pytest.mark.parametrize("name", released_models())
def test_a_model_is_small(name: str) -> None:
    sizes = [path.stat().st_size for path in (MODELS / name).rglob("*.*")]
    assert sum(sizes) <= MOST_BYTES
    assert max(sizes) <= 4 * 1024**2  # of one file


@pytest.mark.parametrize("name", released_models())
def test_a_card_says_what_it_is_and_is_not_for(name: str) -> None:
    card = (MODELS / name / "README.md").read_text()
    for needed in ("Training data", "Limits", "Licence", "Research only", "synthetic"):
        assert needed in card
    for run in (MODELS / name).glob("*/config.yaml"):
        assert f"`{name}/{run.parent.name}`" in card


def scores(
    reference: str, flair: Volume, t1w: Volume, brain: np.ndarray, draws: SamplingOptions = DEFAULTS
) -> tuple[float, float]:
    """Return masked PSNR and SSIM of a translation against the normalised T1w."""
    real = PercentileNormaliser().fit(t1w.data, brain).apply(t1w.data)
    translator = from_run(reference, draws)
    synthetic = translator.translate(flair, brain).mean.data
    pair = synthetic, real, 1.0, brain
    return peak_signal_to_noise(*pair), ssim(*pair)


@pytest.mark.slow
@pytest.mark.parametrize("model", released_models())
def test_a_phantom_that_no_model_has_seen(model: str) -> None:
    spacing_mm = open_run(model).provenance["data"]["spacing_mm"]
    subject = make_subject(4321, PhantomConfig(spacing_mm=spacing_mm))
    found = {
        name: scores(name, subject.images["flair"], subject.images["t1w"], subject.brain_mask)
        for name in (model, f"{model}/unet", f"{model}/lookup")
    }
    (ours, ours_ssim), (unet, _), (lookup, lookup_ssim) = found.values()
    assert ours > lookup + 1.5
    assert unet > lookup + 2.5
    assert ours_ssim > lookup_ssim + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("model", released_models())
def test_real_scans_that_no_model_has_seen(model: str) -> None:
    root = os.environ.get("MRCONTRAST_REAL_DATA")
    if not root:
        pytest.skip("MRCONTRAST_REAL_DATA does not name the folder of openms-mni and mslesseg-mni")
    flairs = sorted(Path(root).glob("*-mni/sub-*/anat/*_FLAIR.nii.gz"))
    assert flairs
    for path in flairs:
        flair, t1w = read_volume(path), read_volume(Path(str(path).replace("_FLAIR", "_T1w")))
        mask = Path(str(path).replace("_FLAIR", "_desc-brain_mask"))
        brain = (read_volume(mask).data if mask.exists() else flair.data) > 0
        _, ours = scores(model, flair, t1w, brain, HALF)
        _, lookup = scores(f"{model}/lookup", flair, t1w, brain)
        assert ours > lookup + 0.05, path.name
