"""Do the values of a config have the types that the objects they build ask for?"""

from collections.abc import Iterator, Sequence
from inspect import signature
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from mrcontrast.errors import UsageError

LISTS = (Sequence, list, tuple)
TAKES = {  # a name may look like a number: name=2024
    bool: bool,
    int: int,
    float: int | float,
    str: str | int | float,
    NoneType: NoneType,
}


def refuse_types(config: DictConfig) -> None:
    """Refuse words where numbers belong, and the like, at any depth.

    Annotations that say more than numbers, words and lists of them are left to the objects.

    Args:
        config: Without missing values; nodes with ``_target_`` are looked at.

    Raises:
        UsageError: A value is of another type; it is named with its key.
    """
    for key, value, hint in typed_values(OmegaConf.to_container(config, resolve=True)):
        refuse_type(value, hint, key)


def refuse_type(value: Any, hint: Any, key: str) -> None:  # noqa: ANN401 - any value, any annotation
    """Raise UsageError if the value of a key does not fit an annotation."""
    if not fits(value, hint):
        wanted = hint.__name__ if isinstance(hint, type) else hint
        raise UsageError(
            f"Expected {str(wanted).replace('collections.abc.', '')}, got {value} ({key}). "
            "Change it."
        )


def typed_values(node: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield key, value and annotation of the arguments of all objects in a plain config."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    hints = annotations(node["_target_"]) if isinstance(node, dict) and "_target_" in node else {}
    for name, value in children:
        key = f"{prefix}{name}"
        if name in hints:
            yield key, value, hints[name]
        if isinstance(value, dict | list):
            yield from typed_values(value, f"{key}.")


def annotations(target: str) -> dict[str, Any]:
    """Return the annotations of what a ``_target_`` calls; none where they cannot be read."""
    from hydra.utils import get_object

    try:
        called = get_object(target)
        arguments = [*signature(called, eval_str=True).parameters.values()]
        if isinstance(called, type) and any(each.kind is each.VAR_KEYWORD for each in arguments):
            base = signature(called.__mro__[1], eval_str=True)  # which takes the other settings
            arguments = [*base.parameters.values(), *arguments]
    except Exception:  # whatever is wrong with the target, who builds it says so
        return {}
    return {each.name: each.annotation for each in arguments if each.annotation is not each.empty}


def fits(value: Any, hint: Any) -> bool:  # noqa: ANN401 - any value, any annotation
    """Return whether a plain value can be an argument so annotated; objects to be built can.

    >>> from collections.abc import Sequence
    >>> fits("abc", float), fits(1, float), fits([1, 2.5], Sequence[int]), fits(None, int | None)
    (False, True, False, True)
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if isinstance(value, dict):
        return True
    if origin in LISTS:
        return isinstance(value, list) and all(fits_one(entry, parts) for entry in value)
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, TAKES.get(hint, object))


def fits_one(entry: Any, hints: Sequence[Any]) -> bool:  # noqa: ANN401
    """Return whether an entry of a list fits one of its annotations.

    Lists pass: networks take one number for each axis where they ask for one.
    """
    known = [hint for hint in hints if hint is not Ellipsis]
    return not known or isinstance(entry, list) or any(fits(entry, hint) for hint in known)
