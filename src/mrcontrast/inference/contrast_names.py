"""Refuse files whose name or sidecar says that they have another contrast."""

from pathlib import Path

from mrcontrast.data.contrasts import contrast_of_name, contrast_of_protocol, title_of
from mrcontrast.data.predictions import read_sidecar, stem

DESCRIPTIONS = ("SeriesDescription", "ProtocolName")


def other_contrast(source: Path, wanted: str) -> str | None:
    """Return which other contrast a file's name or JSON sidecar names; None if none does."""
    named = contrast_of_name(stem(source))
    if named not in (None, wanted):
        return f"{title_of(named)} by its name"
    facts = read_sidecar(source)
    for key in DESCRIPTIONS:
        text = facts.get(key)
        said = contrast_of_protocol(text, facts.get("InversionTime")) if text else None
        if said not in (None, wanted):
            return f"{title_of(said)} by {key} {text!r} of its sidecar"
    return None


def contrast_refusal(source: Path, contrast: str) -> str | None:
    """Return why a file does not serve as a model's source; None if nothing speaks against it.

    An autoencoder returns the contrast that it is given: another one would look like a translation.
    """
    if (found := other_contrast(source, contrast)) is None:
        return None
    return (
        f"Expected {title_of(contrast)} for this model, got {source.name}, which is {found}. "
        "Name another model or file, or pass --any-contrast if that is wrong."
    )
