"""Contrasts by name: BIDS suffix, title, and the words that stand for them in file names.

``TABLE`` is the only place that lists suffixes. A contrast that it lacks is allowed: its name is
its suffix and its title.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mrcontrast import keys
from mrcontrast.errors import UsageError


@dataclass(frozen=True)
class Contrast:
    """How one contrast is named."""

    suffix: str  # of BIDS, such as "T1w"
    title: str  # in tables and figures
    words: str = ""  # regular expression of words for it in file names and protocols, lower case
    entity: str = ""  # of BIDS, distinguishes it from another contrast of the same suffix

    @property
    def key(self) -> str:
        """Name of the entity, "" without one."""
        return self.entity.partition("-")[0]


TABLE = {
    "flair": Contrast("FLAIR", "FLAIR"),
    "t1w": Contrast("T1w", "T1w", "t1|t1w|t1n|mprage|mp2rage|spgr|bravo"),
    "t1wce": Contrast("T1w", "T1w with contrast agent", "t1c|t1ce|t1gd|t1wce", "ce-gad"),
    "t2w": Contrast("T2w", "T2w", "t2|t2w|t2tse|t2fse"),
    "pd": Contrast("PDw", "PDw", "pd|pdw"),
    "t2starw": Contrast("T2starw", "T2*w", "t2star|t2starw|gre"),
    "swi": Contrast("swi", "SWI", "swi"),
    "dwi": Contrast("dwi", "DWI", "dwi|dti|adc|trace"),
    "bold": Contrast("bold", "BOLD", "bold|fmri|epi"),
    "angio": Contrast("angio", "angiogram", "tof|angio|mra"),
}
MASK_ENDINGS = {
    "brain_mask": "desc-brain_mask",
    "lesion_mask": "label-lesion_mask",
    "labels": "dseg",
}
FLAIR, T1W = "flair", "t1w"
DARK_FLUID = r"flair|tirm|dark.?fluid|da.?fl(?![a-z])|spc_ir|irfse|ir_tse"
ENTITY = r"(?:sub|ses|acq|ce|rec|run|echo|part|space|res|label|desc|mod|dir|task)-[a-z0-9]+_"
WORD = r"(?<![a-z0-9])(?:{})(?![a-z0-9])"
SHORTEST_FLAIR_TI_S = 1.5  # inversion time in seconds; T1w has up to about 1.2


def title_of(name: str) -> str:
    """Return the title of a contrast.

    >>> title_of("pd"), title_of("cest")
    ('PDw', 'cest')
    """
    return TABLE[name].title if name in TABLE else name


def ending_of(name: str, desc: str = "") -> str:
    """Return the end of a BIDS file name, before the extension and after "sub-..._".

    >>> ending_of("flair"), ending_of("t1w", "synth"), ending_of("t1wce", "synth")
    ('FLAIR', 'desc-synth_T1w', 'ce-gad_desc-synth_T1w')
    """
    known = TABLE.get(name, Contrast(name, name))
    return "_".join(filter(None, (known.entity, desc and f"desc-{desc}", known.suffix)))


def pattern_of(name: str) -> str:
    """Return the pattern of a contrast's files in a BIDS tree.

    >>> pattern_of("pd"), pattern_of("t1wce")
    ('*_PDw.nii*', '*_ce-*_T1w.nii*')
    """
    known = TABLE.get(name, Contrast(name, name))
    return f"*_{known.key}-*_{known.suffix}.nii*" if known.key else f"*_{known.suffix}.nii*"


def contrast_of_name(stem: str) -> str | None:
    """Return the contrast that a file name's stem gives; None if it gives none.

    >>> [contrast_of_name(name) for name in ("sub-01_acq-t1_FLAIR", "IXI012-T2", "case7")]
    ['flair', 't2w', None]
    """
    text = stem.lower()
    last = text.rpartition("_")[2]
    for name, known in reversed(TABLE.items()):  # those with an entity before those without
        if last in (name, known.suffix.lower()) and (not known.key or f"_{known.key}-" in text):
            return name
    if re.search(f"flair|{WORD.format('t2f')}", text):
        return FLAIR
    return _first_word(re.sub(ENTITY, "", f"{text}_"))


def contrast_of_protocol(text: Any, inversion_time_s: Any = None) -> str | None:  # noqa: ANN401 - JSON
    """Return the contrast that a SeriesDescription or the like gives; None if it gives none.

    A long inversion time makes T2w FLAIR.

    >>> [contrast_of_protocol(t) for t in ("t2_tirm_tra_dark-fluid", "Sag T1 FLAIR", "t2_tse_tra")]
    ['flair', 't1w', 't2w']
    """
    if not isinstance(text, str):
        return None
    words = re.sub(r"[^a-z0-9]+", " ", text.lower())
    said = _first_word(words)
    long = isinstance(inversion_time_s, int | float) and inversion_time_s >= SHORTEST_FLAIR_TI_S
    if re.search(DARK_FLUID, text.lower()) or (long and said != T1W):
        return T1W if said == T1W and not re.search(WORD.format("t2w?"), words) else FLAIR
    return said


def _first_word(text: str) -> str | None:
    """Return the one contrast whose words stand in a text; None if none or several do."""
    spaced = text.replace("_", " ")
    words = [(name, WORD.format(known.words)) for name, known in TABLE.items() if known.words]
    found = [name for name, pattern in words if re.search(pattern, spaced)]
    return found[0] if len(found) == 1 else None


def check_roles(
    source: Sequence[str], target: str, optional: Sequence[str], dropout: float
) -> None:
    """Check the keys of a data module that name contrasts; raise UsageError for a wrong one."""
    if not source or len({*source, target}) <= len(source):
        raise UsageError(
            f"Expected one source or more and another target, got data.source="
            f"[{', '.join(source)}] and data.target={target}. Name each once."
        )
    keys.optional_rows(source, optional)
    if not 0 <= dropout < 1:
        raise UsageError(f"Expected data.optional_dropout in [0, 1), got {dropout}. Change it.")
