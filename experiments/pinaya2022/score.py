"""Sample volumes from a latent diffusion model and score them as in Pinaya et al. 2022."""

import argparse
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gradient_structure import four_component_gradient_structure
from rich.console import Console
from rich.table import Table

from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.feature_scores import FeatureScorer
from mrcontrast.evaluation.protocol import read_features
from mrcontrast.metrics.feature_distances import cubic_kernel, frechet_distance, with_interval
from mrcontrast.metrics.multiscale import SimilarityPyramid, count_scales
from mrcontrast.storage.files import write_json
from mrcontrast.storage.volume import Volume, read_volume, write_volume
from mrcontrast.tracking.loading import load_stage

# Table 1 of the paper: FID, MS-SSIM, 4-G-R-SSIM on UK Biobank at 1 mm.
PAPER = {
    "LSGAN": (0.0231, 0.9997, 0.9969),
    "VAE-GAN": (0.1576, 0.9671, 0.8719),
    "LDM": (0.0076, 0.6555, 0.3883),
    "LDM + DDIM": (0.0080, 0.6704, 0.3957),
    "Real images": (0.0005, 0.6536, 0.3909),
}
HEAD = 0.05  # intensity above which a voxel counts as head, in real and sampled volumes


def draw(run: str, shape: Sequence[int], count: int, seed: int) -> Iterator[np.ndarray]:
    """Yield sampled volumes (*S) in [0, 1], each with its own seed."""
    stage: Any = load_stage(run, "auto")
    batch = {"source": torch.empty(1, 1, *shape, device=stage.device)}
    for item in range(count):
        generator = torch.Generator().manual_seed(seed + item)
        noise = torch.randn(1, *stage.noise_shape(shape), generator=generator)
        yield stage(batch, noise)[0, 0].float().cpu().numpy()


def drawn_files(args: argparse.Namespace, records: list) -> list[Path]:
    """Sample the missing files and return all."""
    first = read_volume(records[0].images["t1w"])
    files = [args.out / "drawn" / f"draw-{item:04d}_T1w.nii.gz" for item in range(args.samples)]
    missing = [file for file in files if not file.is_file()]
    done = len(files) - len(missing)
    for file, image in zip(
        missing, draw(args.run, first.data.shape, len(missing), args.seed + done), strict=True
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_volume(file, Volume(image, first.affine))
    return files


def diversity(files: Sequence[Path], pairs: int, seed: int) -> dict[str, float]:
    """Return mean MS-SSIM and 4-G-R-SSIM over random pairs; lower is more diverse."""
    every = list(itertools.combinations(files, 2))
    chosen = random.Random(seed).sample(every, min(pairs, len(every)))
    scores = []
    for one, other in chosen:
        first, second = read_volume(one).data, read_volume(other).data
        alike = four_component_gradient_structure(first, second)
        pyramid = SimilarityPyramid(first, second, 1.0, count_scales(first.shape))
        scores.append((pyramid.ms_ssim(), alike))
    means = np.mean(scores, axis=0)
    return {"ms_ssim": float(means[0]), "4_g_r_ssim": float(means[1]), "pairs": len(chosen)}


def vectors(files: Sequence[Path], scorer: FeatureScorer) -> np.ndarray:
    """Return the features of volumes, (N, D) float64."""
    found = []
    for file in files:
        image = read_volume(file).data
        found.append(scorer.vectors(scorer.view(image, image > HEAD, (0.0, 1.0))))
    return np.concatenate(found)


def distances(real: np.ndarray, drawn: np.ndarray) -> dict[str, Any]:
    """Return FID and KID; FID needs more vectors than dimensions."""
    owners = np.arange(len(real)), len(real) + np.arange(len(drawn))  # each its own subject
    kid = with_interval(real, drawn, cubic_kernel, owners).value
    found: dict[str, Any] = {"n": len(drawn), "kid": kid, "fid": None}
    try:
        found["fid"] = frechet_distance(real, drawn)
    except MrcontrastError as error:
        found["fid_refused"] = str(error)
    return found


def score(args: argparse.Namespace) -> dict[str, Any]:
    """Return all scores of the sampled and the real volumes."""
    records = Manifest.read(args.data).split(args.split)
    real, files = [record.images["t1w"] for record in records], drawn_files(args, records)
    node = read_features(args.features, args.feature_weights)
    found: dict[str, Any] = {"run": args.run, "samples": len(files), "features": args.features}
    found["drawn"] = diversity(files, args.pairs, args.seed)
    found["real"] = diversity(real, args.pairs, args.seed)
    if node is not None:
        scorer = FeatureScorer(node)
        theirs = vectors(real, scorer)
        half = len(theirs) // 2
        found["drawn"] |= distances(theirs, vectors(files, scorer))
        found["real"] |= distances(theirs[:half], theirs[half:])
    return found


def table(found: dict[str, Any] | None) -> Table:
    """Return the paper's table with our rows; ``None`` if not run."""
    shown = Table("", "FID", "MS-SSIM", "4-G-R-SSIM", title="UK Biobank (theirs)")
    for name, values in PAPER.items():
        shown.add_row(name, *(f"{value:.4f}" for value in values))
    shown.add_section()
    for name, key in (("ours, drawn", "drawn"), ("ours, real", "real")):
        values = {} if found is None else found[key]
        cells = [values.get(metric) for metric in ("fid", "ms_ssim", "4_g_r_ssim")]
        refused = "refused" if "fid_refused" in values else "not run"
        shown.add_row(name, *(refused if cell is None else f"{cell:.4f}" for cell in cells))
    return shown


def main() -> None:
    """Sample, score, print, and write ``score.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="outputs/study/pinaya2022/runs/latent_diffusion")
    parser.add_argument("--data", type=Path, default=Path("outputs/study/pinaya2022/data"))
    parser.add_argument("--split", default="test", help="split of the real volumes (%(default)s)")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", default="medicalnet_resnet10", help="or none (%(default)s)")
    parser.add_argument(
        "--feature-weights", type=Path, help="resnet_10_23dataset.pth of MedicalNet"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/pinaya2022"))
    args = parser.parse_args()
    found = score(args)
    write_json(args.out / "score.json", found)
    Console().print(table(found))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
