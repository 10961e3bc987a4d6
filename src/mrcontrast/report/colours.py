"""The colour scales of maps: one list of stops each, for the viewer, its bars and the pictures."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb

# No error is black, as is the background: blue where too dark, orange where too bright.
ERROR_STOPS = ("#a8dcff", "#2f86d6", "#000000", "#d66a1f", "#ffd9a8")
NUM_STOPS = 17


def colour_map(kind: str) -> Colormap:
    """Return the colours of "image", "error" or "spread" for matplotlib."""
    if kind == "error":
        return LinearSegmentedColormap.from_list("error", ERROR_STOPS)
    return colormaps["magma" if kind == "spread" else "gray"]


def stops(kind: str) -> list[tuple[int, int, int]]:
    """Return evenly spaced colours of a scale, from its low end to its high end, 0 to 255.

    Example:
        >>> stops("image")[0], stops("image")[-1], stops("error")[8]
        ((0, 0, 0), (255, 255, 255), (0, 0, 0))
    """
    places = np.linspace(0, 1, NUM_STOPS)
    if kind == "error":
        corners = np.array([to_rgb(stop) for stop in ERROR_STOPS])
        at = np.linspace(0, 1, len(corners))
        colours = np.stack([np.interp(places, at, corners[:, c]) for c in range(3)], axis=1)
    else:
        colours = colour_map(kind)(places)[:, :3]
    return [(int(r), int(g), int(b)) for r, g, b in np.round(255 * colours)]
