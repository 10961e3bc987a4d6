"""Patches of volumes."""

from collections.abc import Sequence

from mrcontrast.errors import UsageError


def window(centre: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices of a patch around ``centre``, moved so that it stays in the volume.

    >>> window((1, 9), (4, 4), (10, 10))
    (slice(0, 4, None), slice(6, 10, None))
    """
    starts = [
        min(max(middle - extent // 2, 0), whole - extent)
        for middle, extent, whole in zip(centre, size, shape, strict=True)
    ]
    return tuple(slice(start, start + extent) for start, extent in zip(starts, size, strict=True))


def refuse_large_patch(
    patch_size: Sequence[int] | None, shape: Sequence[int], subject: str
) -> None:
    """Refuse a patch that does not fit in a volume.

    Raises:
        UsageError: It is larger, or has another number of axes.
    """
    fits = patch_size is None or (
        len(patch_size) == len(shape)
        and all(0 < extent <= whole for extent, whole in zip(patch_size, shape, strict=True))
    )
    if not fits:
        raise UsageError(
            f"Expected patch_size within {tuple(shape)}, got {patch_size} ({subject}). "
            "Make data.items.patch_size smaller, or null."
        )
