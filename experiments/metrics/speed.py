"""Time PSNR and SSIM of 2D slice stacks: our SSIM maps against a plain loop over scikit-image.

OMP_NUM_THREADS=1 python experiments/metrics/speed.py

CPU seconds of one thread, best of the repeats; float32 slices of a phantom, resized.
"""

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mrcontrast.metrics.stacks import stack_maps
from mrcontrast.metrics.structural import RADIUS
from mrcontrast.phantom import PhantomConfig, make_subject

SLICES, REPEATS = 100, 8
SIZES = ((96, 112), (128, 128), (160, 192), (192, 224), (256, 256))
Figures = tuple[np.ndarray, np.ndarray]


def loop(prediction: np.ndarray, target: np.ndarray) -> Figures:
    psnr, ssim = [], []
    for ours, theirs in zip(prediction, target, strict=True):
        psnr.append(peak_signal_noise_ratio(theirs, ours, data_range=1.0))
        ssim.append(
            structural_similarity(
                theirs,
                ours,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    return np.array(psnr), np.array(ssim)


def stack(prediction: np.ndarray, target: np.ndarray) -> Figures:
    change = prediction - target
    lines = np.einsum("nhw,nhw->nh", change, change) / change.shape[2]
    psnr = -10 * np.log10(lines.mean(axis=1, dtype=np.float64))
    inner = slice(RADIUS, -RADIUS)
    ssim = stack_maps(prediction, target, 1.0).ssim[:, inner, inner]
    return psnr, ssim.mean(axis=2).mean(axis=1, dtype=np.float64)


def best(work: Callable[[], Figures]) -> tuple[float, Figures]:
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        figures = work()
        seconds.append(time.process_time() - start)
    return min(seconds), figures


def main() -> None:
    volume = make_subject(1, PhantomConfig(spacing_mm=2.0)).images["t1w"].data
    volume = np.moveaxis(volume / volume.max(), 2, 0)
    chosen = volume[np.linspace(15, len(volume) - 15, SLICES).astype(int)]
    rng = np.random.default_rng(0)
    print("| slices | scikit-image (ms) | ours (ms) | ratio | PSNR | SSIM |")
    print("|---|---:|---:|---:|---:|---:|")
    for size in SIZES:
        zoom = (1, *(n / m for n, m in zip(size, chosen.shape[1:], strict=True)))
        target = ndimage.zoom(chosen, zoom, order=1).astype(np.float32)
        noise = 0.05 * rng.standard_normal(target.shape, dtype=np.float32)
        prediction = np.where(target > 0, 0.9 * target + noise, 0).astype(np.float32)
        slow, theirs = best(lambda p=prediction, t=target: loop(p, t))
        fast, ours = best(lambda p=prediction, t=target: stack(p, t))
        psnr, ssim = (np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True))
        milliseconds = [1000 * seconds / SLICES for seconds in (slow, fast)]
        print(
            f"| {SLICES} of {size[0]} x {size[1]} | {milliseconds[0]:.3f} "
            f"| {milliseconds[1]:.3f} | {slow / fast:.1f} | {psnr:.1e} | {ssim:.1e} |"
        )
    print("\nms per slice; PSNR, SSIM: largest difference over slices.")


if __name__ == "__main__":
    main()
