"""Check the values of a config against the annotations of the objects that they build."""

from collections.abc import Iterator, Sequence
from inspect import signature
from pkgutil import resolve_name
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


def check_types(config: DictConfig) -> None:
    """Check the arguments of all nodes with ``_target_`` in a config without missing values.

    Annotations other than numbers, texts and lists of them are left to the objects.
    """
    for key, value, hint in typed_values(OmegaConf.to_container(config, resolve=True)):
        check_type(value, hint, key)


def check_type(value: Any, hint: Any, key: str) -> None:  # noqa: ANN401 - any value, any annotation
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
    """Return the annotations of a ``_target_``'s arguments; empty where they cannot be read."""
    try:
        called = resolve_name(target)
        arguments = [*signature(called, eval_str=True).parameters.values()]
        if isinstance(called, type) and any(each.kind is each.VAR_KEYWORD for each in arguments):
            bases = [base for base in reversed(called.__mro__) if "__init__" in vars(base)]
            found = [signature(base, eval_str=True) for base in bases]  # of the other settings
            arguments = [each for own in found for each in own.parameters.values()]
    except Exception:  # the builder reports whatever is wrong with the target
        return {}
    return {each.name: each.annotation for each in arguments if each.annotation is not each.empty}


def fits(value: Any, hint: Any) -> bool:  # noqa: ANN401 - any value, any annotation
    """Return whether a plain value fits an annotation; nodes of objects fit any."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if isinstance(value, dict):
        return True
    if origin in LISTS:
        known = [part for part in parts if part is not Ellipsis]
        # Networks accept a list, one number for each axis, in place of a number.
        return isinstance(value, list) and all(
            not known or isinstance(entry, list) or any(fits(entry, part) for part in known)
            for entry in value
        )
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, TAKES.get(hint, object))
