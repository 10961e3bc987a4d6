"""What does the autoencoder cost a ControlNet that has a good image to start from?"""

import argparse
from pathlib import Path

import numpy as np

from mrcontrast.data.manifest import Manifest
from mrcontrast.inference.from_run import from_run
from mrcontrast.metrics.voxelwise import peak_signal_to_noise
from mrcontrast.storage.volume import read_volume

COLUMNS = ("U-Net", "U-Net through the autoencoder", "ControlNet", "ControlNet without the detail")


def main() -> None:
    """Print the masked PSNR of each held-out subject and their mean, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("outputs/study/release_2d"))
    study = parser.parse_args().study
    autoencoder = from_run(str(study / "runs" / "autoencoder"))
    rows = {}
    for record in Manifest.read(study / "data").split("test"):
        name = f"{record.name}_desc-synth_T1w.nii.gz"
        unet = read_volume(study / "predictions" / "unet" / name)
        controlnet = read_volume(study / "predictions" / "controlnet" / name).data
        real, brain = read_volume(record.images["t1w"]).data, read_volume(record.brain_mask).data > 0
        through = autoencoder.translate_prepared(unet, brain).mean.data
        blurred = np.clip(controlnet - (unet.data - through), 0, 1)
        images = (unet.data, through, controlnet, blurred)
        rows[record.name] = [peak_signal_to_noise(image, real, 1.0, brain) for image in images]
    rows["mean"] = list(np.mean(list(rows.values()), axis=0))
    print(f"| subject | {' | '.join(COLUMNS)} |\n|---|---:|---:|---:|---:|")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} |")


if __name__ == "__main__":
    main()
