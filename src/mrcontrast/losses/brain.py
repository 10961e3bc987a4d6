"""Errors that weigh the brain, however little of the field it fills."""

from torch import Tensor


def brain_error(image: Tensor, target: Tensor, mask: Tensor, power: int = 2) -> Tensor:
    """Return the mean error in the brain plus the mean error of the background, a scalar.

    An item counts as the square root of its brain voxels: a mean over the field would all but leave
    out slices with little brain, where levels come out wrong, and a mean of items would give their
    few voxels too much weight.

    Args:
        image: (B, 1, *S).
        target: (B, 1, *S), 0 in the background.
        mask: (B, 1, *S), 1 in the brain.
        power: Of the absolute differences: 2 is least at the mean of all targets that fit, 1 at
            their median, which is dark at the brain's rim.
    """
    error = (image - target).abs().pow(power)
    sizes = mask.flatten(1).sum(1)
    roots = sizes.clamp_min(1).sqrt()
    inside = ((error * mask).flatten(1).sum(1) / roots).sum() / sizes.sqrt().sum().clamp_min(1)
    outside = 1 - mask
    return inside + (error * outside).sum() / outside.sum().clamp_min(1)
