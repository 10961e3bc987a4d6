"""Tags: a closed vocabulary of what is known of scans and people, and its language."""

import math
from collections.abc import Container, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.networks.tag import Tag, Weighted, number_of, tag_of

MOST_WEIGHT = 100.0  # beyond any use; larger ones overflow in a network
MOST_SHOWN = 60  # characters of a prompt in an error


class Vocabulary:
    """All tags that a prompt may have, for the contrasts of a model.

    Args:
        source: Names of the contrasts that the model is given.
        target: Name of the contrast that it makes.
        scan: Tags of each contrast, by name: ``{unit: ms}`` for a number, ``{words: {word: [text,
            ...]}}`` for a word. The tag of a contrast is ``<contrast>_<name>``; ``keys`` lists
            further names that a manifest may use, with CONTRAST for the contrast.
        person: Tags of the person, by name, alike.
        aliases: Plain words, each with the tags that it stands for, such as ``3 tesla``:
            ``field_strength_t=3``. ``source_`` and ``target_`` stand for the contrasts.

    Raises:
        UsageError: An entry is none of these, or an alias stands for other words than tags.

    >>> scan = {"ti_ms": {"unit": "ms"}, "maker": {"words": {"ge": ["general electric"]}}}
    >>> names = Vocabulary(["flair"], "t1w", scan, {}, {"long ti": "target_ti_ms=1100"})
    >>> [tag.name for tag in names.tags]
    ['flair_ti_ms', 'flair_maker', 't1w_ti_ms', 't1w_maker']
    >>> names.parse("long ti:2")
    {'t1w_ti_ms': Weighted(value=1100.0, weight=2.0)}
    >>> names.parse("flair_maker=General Electric")
    {'flair_maker': Weighted(value='ge', weight=1.0)}
    """

    def __init__(
        self,
        source: Sequence[str],
        target: str,
        scan: Mapping[str, Mapping[str, Any]],
        person: Mapping[str, Mapping[str, Any]],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.source, self.target = tuple(source), target
        self.aliases = {plain(key): value for key, value in (aliases or {}).items()}
        for words, meaning in self.aliases.items():
            if not all("=" in part for part in str(meaning).split(",")):
                raise UsageError(
                    f"Expected tags such as age=60 for the words {words!r}, got {meaning!r} "
                    "(stage.prompt.vocabulary.aliases). Change it."
                )
        made = [tag_of(n, e, c) for c in (*source, target) for n, e in scan.items()]
        made += [tag_of(name, entry) for name, entry in person.items()]
        self.tags = tuple(tag for tag in made if tag.words is None or tag.words)
        self.by_name = {tag.name: tag for tag in self.tags}

    def values(self, known: Mapping[str, Any]) -> tuple[list[float], list[float]]:
        """Return the values of all tags, NaN for unknown, and their weights.

        Args:
            known: Values or ``Weighted`` values by name, as a manifest or a prompt has them.
        """
        pairs = [self.value(tag, known) for tag in self.tags]
        return [value for value, _ in pairs], [weight for _, weight in pairs]

    def value(self, tag: Tag, known: Mapping[str, Any]) -> tuple[float, float]:
        """Return the value of a tag, NaN for unknown, and its weight."""
        found = next((known[key] for key in tag.keys if key in known), math.nan)
        value, weight = found if isinstance(found, Weighted) else (found, 1.0)
        return tag.read(value), weight

    def known(self, tags: Mapping[str, Any], whole: bool) -> dict[str, Weighted]:
        """Return the tags of a manifest by the names of this vocabulary; unknown ones are absent.

        Args:
            tags: Values by name.
            whole: Whether the tags of the target count, else those of sources and person alone.
        """
        found = {}
        for tag in self.tags:
            value, weight = self.value(tag, tags)
            target = tag.name.startswith(f"{self.target}_")
            if not math.isnan(value) and (whole or not target):
                word = value if tag.words is None else list(tag.words)[int(value)]
                found[tag.name] = Weighted(word, weight)
        return found

    def parse(self, text: str, among: Container[str] = ()) -> dict[str, Weighted]:
        """Read a prompt: ``name=value``, ``name=value:weight`` or an alias, between commas.

        Args:
            text: The prompt.
            among: Tags that a name of several contrasts sets, if it has some; else it sets all.

        Raises:
            UsageError: A part cannot be read, or names no tag, word or alias.
        """
        found: dict[str, Weighted] = {}
        for part in filter(None, (piece.strip() for piece in str(text).split(","))):
            name, equals, rest = part.partition("=")
            if equals:
                found |= self.assigned(name.strip(), *weighted(rest, part), among)
                continue
            words, weight = weighted(part, part)
            alias = self.aliases.get(plain(words))
            if alias is None:
                raise UsageError(
                    f"Expected name=value or plain words among {', '.join(self.aliases) or 'none'}"
                    f", got {part[:MOST_SHOWN]!r} (prompt).{self.advice(words)}"
                )
            for key, each in self.parse(alias, among).items():
                found[key] = Weighted(each.value, each.weight * weight)
        return found

    def assigned(
        self, name: str, text: str, weight: float, among: Container[str] = ()
    ) -> dict[str, Weighted]:
        """Return the tags that ``name=text`` sets; a name without a contrast sets those of all.

        Of several tags those ``among`` are set, or all if there are none.

        Raises:
            UsageError: There is no such tag or value.
        """
        names = [name.replace("target_", f"{self.target}_", 1)]
        if name.startswith("source_"):
            names = [name.replace("source_", f"{each}_", 1) for each in self.source]
        elif name not in self.by_name:
            every = [f"{each}_{name}" for each in (*self.source, self.target)]
            names = [each for each in every if each in self.by_name] or names
        names = [each for each in names if each in among] or names
        return {each: Weighted(self.checked(each, text), weight) for each in names}

    def checked(self, name: str, text: str) -> float | str:
        """Return the value of a tag from its text.

        Raises:
            UsageError: There is no such tag or value.
        """
        tag = self.by_name.get(name)
        if tag is None:
            raise UsageError(
                f"Expected a tag among {', '.join(self.by_name)}, got "
                f"{name[:MOST_SHOWN]!r} (prompt).{self.advice(name)}"
            )
        value = tag.read(text)
        if math.isnan(value):
            known = f"a number in {tag.unit}" if tag.words is None else ", ".join(tag.words)
            shown = text.strip()[:MOST_SHOWN]
            raise UsageError(f"Expected {known} for {name}, got {shown!r} (prompt).")
        return value if tag.words is None else list(tag.words)[int(value)]

    def advice(self, text: str) -> str:
        """Return a sentence with the nearest name or alias, "" if none is near."""
        near = get_close_matches(text.lower()[:MOST_SHOWN], [*self.by_name, *self.aliases], 1)
        return f" Did you mean {near[0]}?" if near else ""


def plain(words: str) -> str:
    """Return words in lower case with single spaces.

    >>> plain("3  Tesla")
    '3 tesla'
    """
    return " ".join(words.lower().split())


def weighted(text: str, part: str) -> tuple[str, float]:
    """Split ``value:weight``; without a weight it is 1.

    Raises:
        UsageError: The weight is no number within ``MOST_WEIGHT``.
    """
    value, colon, weight = text.rpartition(":")
    if not colon:
        return text.strip(), 1.0
    if not abs(number := number_of(weight)) <= MOST_WEIGHT:
        raise UsageError(
            f"Expected name=value:weight with a weight from -{MOST_WEIGHT:g} to {MOST_WEIGHT:g}, "
            f"got {part[:MOST_SHOWN]!r} (prompt)."
        )
    return value.strip(), number
