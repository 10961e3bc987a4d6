"""Keys of recipes written for earlier versions, which knew FLAIR and T1w only."""

from typing import Any

# By class: old key, and the new key and contrast (or value) in its place.
RENAMED = {
    "Recipe": {
        "normaliser_flair": ("normalisers", "flair"),
        "normaliser_t1w": ("normalisers", "t1w"),
    },
    "Normalise": {"flair": ("normalisers", "flair"), "t1w": ("normalisers", "t1w")},
    "BidsPairs": {
        "pattern": ("patterns", "flair"),
        "t1w_pattern": ("patterns", "t1w"),
        "flair_entities": ("entities", "flair"),
        "t1w_entities": ("entities", "t1w"),
    },
    "FolderPairs": {
        name: ("patterns", name) for name in ("flair", "t1w", "brain_mask", "lesion_mask")
    },
}
STAY = {"t1w": "flair", "flair": "t1w"}  # Register: contrast that moved, contrast that is fixed


def rename_keys(node: Any, contrasts: list[str]) -> list[str]:  # noqa: ANN401 - any plain value
    """Add the keys of today to a plain recipe with interpolations, in place; return the old ones.

    Keys of ``Recipe`` stay for interpolations that lead to them; remove them from the resolved one.
    Old sources refer to no contrasts: they get ``contrasts``.
    """
    found: list[str] = []
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            found += rename_keys(child, contrasts)
    if not isinstance(node, dict):
        return found
    kind = str(node.get("_target_", "")).rpartition(".")[2]
    for old, (new, contrast) in RENAMED.get(kind, {}).items():
        if old in node:
            found.append(old)
            value = node[old] if kind == "Recipe" else node.pop(old)
            node[new] = {**(node.get(new) or {}), contrast: value}
            if kind.endswith("Pairs"):
                node.setdefault("contrasts", contrasts)
    if kind == "Register" and "moving" in node:
        found.append("moving")
        node["fixed"] = STAY.get(node.pop("moving"))
    return found
