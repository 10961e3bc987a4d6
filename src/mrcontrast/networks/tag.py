"""One tag of a vocabulary, read from an entry of a config, and the values that it takes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mrcontrast.errors import UsageError


class Weighted(NamedTuple):
    """A value of a tag and its weight: 0 is absence, 1 the value, 2 twice its effect."""

    value: float | str
    weight: float = 1.0


@dataclass(frozen=True)
class Tag:
    """One entry of a vocabulary.

    Attributes:
        name: Such as "t1w_ti_ms".
        keys: Names under which a manifest may have it, the first that is known counts.
        unit: Of a number; "" for a word.
        words: For a word, each with the texts that mean it, in lower case; empty for a number.
    """

    name: str
    keys: tuple[str, ...]
    unit: str = ""
    words: Mapping[str, Sequence[str]] | None = None

    def read(self, value: Any) -> float:  # noqa: ANN401 - whatever a manifest has
        """Return a number, the index of a word, or NaN for a value that says nothing."""
        if self.words is None:
            return number_of(value)
        text = str(value).strip().lower()
        for index, (word, texts) in enumerate(self.words.items()):
            if text == word or any(part in text for part in texts):
                return float(index)
        return math.nan


def tag_of(name: str, entry: Mapping[str, Any], contrast: str = "") -> Tag:
    """Return the tag of an entry of a vocabulary; words may be a list or a mapping to texts.

    Raises:
        UsageError: The entry has other keys or values.
    """
    if not is_entry(entry):
        raise UsageError(
            f"Expected a unit or a list of words for the tag {name}, and a list of keys if any, "
            f"got {entry} (stage.prompt.vocabulary). See configs/tags/protocol.yaml."
        )
    words = entry.get("words")
    if words is not None and not isinstance(words, Mapping):
        words = {word: [] for word in words}
    if words is not None:
        words = {
            str(word).lower(): [str(t).lower() for t in texts] for word, texts in words.items()
        }
    keys = [key.replace("CONTRAST", contrast) for key in entry.get("keys") or ()]
    full = f"{contrast}_{name}" if contrast else name
    return Tag(full, (full, *keys), str(entry.get("unit", "")), words)


def is_entry(entry: Any) -> bool:  # noqa: ANN401 - whatever a config has
    """Return whether a value is an entry of a vocabulary.

    >>> is_entry({"words": ["r", "l"]}), is_entry({"words": "r"}), is_entry({"units": "ms"})
    (True, False, False)
    """

    def is_list(value: Any) -> bool:  # noqa: ANN401
        return isinstance(value, Sequence) and not isinstance(value, str)

    if not isinstance(entry, Mapping) or not {*entry} <= {"unit", "words", "keys"}:
        return False
    words, keys = entry.get("words"), entry.get("keys") or []
    lists = [*words.values(), keys] if isinstance(words, Mapping) else [words or [], keys]
    return all(map(is_list, lists))


def number_of(value: Any) -> float:  # noqa: ANN401 - whatever a manifest has
    """Return a finite number, else NaN; of a list, such as a spacing, the smallest."""
    try:
        value = min(value) if isinstance(value, (list, tuple)) else value
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan
