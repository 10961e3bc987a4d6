"""Tags of scans, from their sidecars."""

from collections.abc import Mapping
from typing import Any

# Tag, key of the sidecar, and factor of its numbers.
SCAN_NUMBERS = {
    "tr_ms": ("RepetitionTime", 1000.0),
    "te_ms": ("EchoTime", 1000.0),
    "ti_ms": ("InversionTime", 1000.0),
    "flip_deg": ("FlipAngle", 1.0),
    "slice_thickness_mm": ("SliceThickness", 1.0),
}
SEQUENCE = ("PulseSequenceType", "SequenceName", "ProtocolName", "ScanningSequence")
SCANNER_WORDS = {
    "manufacturer": "Manufacturer",
    "scanner_model": "ManufacturersModelName",
    "institution": "InstitutionName",
}
UNKNOWN = (None, "", "n/a", "nan")  # in lower case


def tags_of_scan(known: Mapping[str, Any], contrast: str) -> dict[str, Any]:
    """Return the tags of an image from the keys of its sidecars; others are absent."""
    tags: dict[str, Any] = {}
    for tag, (key, factor) in SCAN_NUMBERS.items():
        if (number := number_of(known.get(key))) is not None:
            tags[f"{contrast}_{tag}"] = round(number * factor, 6)
    if words := [str(known[key]) for key in SEQUENCE if is_known(known.get(key))]:
        tags[f"{contrast}_sequence"] = words[0]
    if (strength := number_of(known.get("MagneticFieldStrength"))) is not None:
        tags["field_strength_t"] = strength
    for tag, key in SCANNER_WORDS.items():
        if is_known(known.get(key)):
            tags[tag] = str(known[key])
    return tags


def is_known(value: Any) -> bool:  # noqa: ANN401 - whatever a person wrote
    """Return whether a value says something."""
    return (value.strip().lower() if isinstance(value, str) else value) not in UNKNOWN


def number_of(value: Any) -> float | None:  # noqa: ANN401 - whatever a person wrote
    """Return a finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number and abs(number) != float("inf") else None
