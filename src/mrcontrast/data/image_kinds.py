"""Which images are no plain scans: synthetic, after a contrast agent, or no magnitude."""

import re
from collections.abc import Mapping
from typing import Any

SYNTHETIC, CONTRAST_AGENT, PHASE = KINDS = ("synthetic", "contrast_agent", "phase")
NAMING = ("desc", "acq", "rec", "proc")  # entities that a tool names its output by
AFTER_AGENT = re.compile(r"t1w?(ce|c|gd|gad|post)w?|(t1w?|post)*(gd|gad|gado|gadolinium|contrast)")
AGENT = "ContrastBolus"  # start of the sidecar keys that describe it: Ingredient, Volume, ...
NO_AGENT = ("", "none", "no", "n/a", "false", "[]", "0", "0.0")


def not_scanned(name: str, sidecar: Mapping[str, Any]) -> str | None:
    """Return which of ``KINDS`` an image is by its name and sidecar; None for a plain one.

    >>> not_scanned("sub-1_desc-synth_T1w", {}), not_scanned("sub-1_ce-gad_T1w", {})
    ('synthetic', 'contrast_agent')
    """
    stem = name.partition(".")[0].lower()
    parts = [part.partition("-") for part in stem.split("_")]
    if str(sidecar.get("Synthetic", "")).strip().lower() in ("true", "1", "yes") or any(
        key in NAMING and "synth" in value for key, _, value in parts
    ):
        return SYNTHETIC
    if any(key == "part" and value not in ("", "mag") for key, _, value in parts):
        return PHASE
    agents = (str(sidecar[key] or "").strip().lower() for key in sidecar if key.startswith(AGENT))
    words = [stem.replace("-", "_").split("_")[-1], *(v for k, _, v in parts if k in NAMING)]
    named = any(AFTER_AGENT.fullmatch(word) for word in words)
    if named or any(key == "ce" for key, *_ in parts) or any(a not in NO_AGENT for a in agents):
        return CONTRAST_AGENT
    return None
