"""PSNR and SSIM of 2D slice stacks: ours against a plain loop over scikit-image, in one run.

OMP_NUM_THREADS=1 python experiments/metrics/speed.py [--slices 100] [--repeats 5]

CPU seconds of one thread, the best of the repeats, float32 slices of phantoms resized to each size.
"""

import time
from argparse import ArgumentParser
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mrcontrast.metrics.stacks import stack_psnr, stack_ssim
from mrcontrast.phantom import PhantomConfig, make_subject

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
    return stack_psnr(prediction, target, 1.0), stack_ssim(prediction, target, 1.0)


def best(work: Callable[[], Figures], repeats: int) -> tuple[float, Figures]:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        figures = work()
        seconds.append(time.process_time() - start)
    return min(seconds), figures


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    volume = make_subject(1, PhantomConfig(spacing_mm=2.0)).t1w.data
    volume = np.moveaxis(volume / volume.max(), 2, 0)
    chosen = volume[np.linspace(15, len(volume) - 15, args.slices).astype(int)]
    rng = np.random.default_rng(0)
    print("| slices | scikit-image (ms a slice) | ours (ms a slice) | ratio | PSNR | SSIM |")
    print("|---|---:|---:|---:|---:|---:|")
    for size in SIZES:
        zoom = (1, *(n / m for n, m in zip(size, chosen.shape[1:], strict=True)))
        target = ndimage.zoom(chosen, zoom, order=1).astype(np.float32)
        noise = 0.05 * rng.standard_normal(target.shape, dtype=np.float32)
        prediction = np.where(target > 0, 0.9 * target + noise, 0).astype(np.float32)
        slow, theirs = best(lambda p=prediction, t=target: loop(p, t), args.repeats)
        fast, ours = best(lambda p=prediction, t=target: stack(p, t), args.repeats)
        psnr, ssim = (np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True))
        milliseconds = [1000 * seconds / args.slices for seconds in (slow, fast)]
        print(
            f"| {args.slices} of {size[0]} x {size[1]} | {milliseconds[0]:.3f} "
            f"| {milliseconds[1]:.3f} | {slow / fast:.1f} | {psnr:.1e} | {ssim:.1e} |"
        )
    print("\nPSNR, SSIM: greatest difference of a slice.")


if __name__ == "__main__":
    main()
