"""Which contrast the name or the sidecar of a file says that it has."""

import re
from pathlib import Path
from typing import Any

from mrcontrast import keys
from mrcontrast.data.predictions import read_sidecar, stem

SUFFIXES = {keys.FLAIR: "_FLAIR", keys.T1W: "_T1w"}
FLAIR, T1W = (suffix[1:] for suffix in SUFFIXES.values())
NOT_IN_A_WORD = r"(?<![a-z0-9]){}(?![a-z0-9])"
WORDS = {  # lower case, whole words, of names that are not BIDS and of protocols
    T1W: r"t1|t1w|t1c|t1ce|t1gd|mprage|mp2rage|spgr|bravo",
    "T2w": r"t2|t2w|t2tse|t2fse",
    "PDw": r"pd|pdw",
    "T2starw": r"t2star|t2starw|swi|gre",
    "dwi": r"dwi|dti|adc|trace",
    "bold": r"bold|fmri|epi",
    "angio": r"tof|angio|mra",
}
DARK_FLUID = r"flair|tirm|dark.?fluid|da.?fl(?![a-z])|spc_ir|irfse|ir_tse"
ENTITY = r"(?:sub|ses|acq|ce|rec|run|echo|part|space|res|label|desc|mod|dir|task)-[a-z0-9]+_"
SHORTEST_FLAIR_TI_S = 1.5  # inversion time in seconds; of T1w up to about 1.2
DESCRIPTIONS = ("SeriesDescription", "ProtocolName")


def other_contrast(source: Path, wanted: str) -> str | None:
    """Say which other contrast a file's name or its JSON sidecar names; None if none does.

    Args:
        source: NIfTI file.
        wanted: ``keys.FLAIR`` or ``keys.T1W``.
    """
    named = contrast_of_name(stem(source))
    if named not in (None, SUFFIXES[wanted][1:]):
        return f"{named} by its name"
    facts = read_sidecar(source)
    for key in DESCRIPTIONS:
        text = facts.get(key)
        said = contrast_of_protocol(text, facts.get("InversionTime")) if text else None
        if said not in (None, SUFFIXES[wanted][1:]):
            return f"{said} by {key} {text!r} of its sidecar"
    return None


def contrast_of_name(name: str) -> str | None:
    """Return the contrast that a file name's stem gives; None if it gives none.

    >>> [contrast_of_name(name) for name in ("sub-01_acq-t1_FLAIR", "IXI012-T2", "case7")]
    ['FLAIR', 'T2w', None]
    """
    last = name.rpartition("_")[2]
    known = {kind.lower(): kind for kind in (FLAIR, *WORDS)}
    if last.lower() in known:
        return known[last.lower()]
    if "flair" in name.lower():
        return FLAIR
    return _first_word(re.sub(ENTITY, "", f"{name.lower()}_"))


def contrast_of_protocol(text: Any, inversion_time: Any = None) -> str | None:  # noqa: ANN401 - JSON
    """Return the contrast that the description of a series gives; None if it gives none.

    >>> [contrast_of_protocol(t) for t in ("t2_tirm_tra_dark-fluid", "Sag T1 FLAIR", "t2_tse_tra")]
    ['FLAIR', 'T1w', 'T2w']

    Args:
        text: Such as SeriesDescription; anything but text gives none.
        inversion_time: In s; a long one makes T2w FLAIR.
    """
    if not isinstance(text, str):
        return None
    words = re.sub(r"[^a-z0-9]+", " ", text.lower())
    said = _first_word(words)
    long = isinstance(inversion_time, int | float) and inversion_time >= SHORTEST_FLAIR_TI_S
    dark = re.search(DARK_FLUID, text.lower()) is not None or (long and said != T1W)
    if dark:
        return T1W if said == T1W and not re.search(NOT_IN_A_WORD.format("t2w?"), words) else FLAIR
    return said


def _first_word(text: str) -> str | None:
    """Return the one contrast whose words stand in a text; None if none or several do."""
    found = [
        kind
        for kind, words in WORDS.items()
        if re.search(NOT_IN_A_WORD.format(f"(?:{words})"), text.replace("_", " "))
    ]
    return found[0] if len(found) == 1 else None
