"""Peak memory of a 3D denoiser with and without fused attention, and the difference in output."""

import subprocess
import sys

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from peak_memory import GIB, peak_bytes

from mrcontrast.config.build import config_dir
from mrcontrast.networks.fast_kernels import use_fast_kernels

SHAPE = (96, 112, 96)  # latent of a 1 mm head, f = 2
SEED = 0


def predict(fused: bool) -> None:
    """Run the default denoiser once and print its peak (GiB) and a few outputs."""
    node = OmegaConf.load(config_dir() / "stage" / "latent_diffusion.yaml").denoiser
    torch.manual_seed(SEED)
    build = instantiate(node, _convert_="all")
    network = build(spatial_dims=3, in_channels=4, out_channels=4).eval()
    use_fast_kernels(network)
    for part in network.modules():
        if hasattr(part, "use_flash_attention"):
            part.use_flash_attention = fused
    for weight in network.parameters():  # MONAI starts the last layers at 0
        torch.nn.init.normal_(weight, std=0.02)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    with torch.no_grad():
        out = network(torch.randn(1, 4, *SHAPE).to(device), torch.tensor([500.0]).to(device))
    print(peak_bytes() / GIB, *out.flatten()[::1000].tolist())


def main() -> None:
    """Measure each in its own process, since a peak never falls, and print both."""
    if len(sys.argv) > 1:
        predict(sys.argv[1] == "fused")
        return
    found = []
    for way in ("plain", "fused"):
        answer = subprocess.run([sys.executable, __file__, way], capture_output=True, check=True)
        peak, *values = map(float, answer.stdout.split())
        found.append(torch.tensor(values, dtype=torch.float64))
        print(f"{way}: {peak:.2f} GiB")
    print(f"largest difference: {(found[0] - found[1]).abs().max():.1e}")


if __name__ == "__main__":
    main()
