"""What the JSON sidecars of an image say, those of the folders above included."""

import json
import os
import re
from pathlib import Path
from typing import Any

from mrcontrast.data.people import read_people

DESCRIPTION = "dataset_description.json"


class Sidecars:
    """The sidecars of a data set; each folder is listed once, however many images it holds for."""

    def __init__(self, root: Path) -> None:
        self.root = whole_path(root)
        self._listed: dict[Path, list[Path]] = {}
        self._tables: dict[str, dict[str, dict[str, Any]]] = {}

    def known(self, image: Path) -> dict[str, Any]:
        """Return the keys of all sidecars that hold for ``.../<entities>_<suffix>.nii.gz``.

        A sidecar holds for the images below its folder with its suffix and all of its entities;
        one that is nearer to the image goes before (BIDS, the inheritance principle). The sidecar
        of the image's own name holds whatever the name.
        """
        known: dict[str, Any] = {}
        for path in self._holding(image):
            known |= read_sidecar(path)
        return known

    def person(self, image: Path) -> dict[str, Any]:
        """Return the tags of the person and the visit of an image, from the tables of the data set.

        Args:
            image: ``.../sub-X[_ses-Y]_...``; another name says nothing.
        """
        found = re.match(r"(sub-[^_.]+)(?:_(ses-[^_.]+))?", image.name)
        if found is None:
            return {}
        subject, session = found[1], found[2] or ""
        people = self._people("participants.tsv", "participant_id")
        visits = self._people(f"{subject}/{subject}_sessions.tsv", "session_id")
        return people.get(subject.casefold(), {}) | visits.get(session.casefold(), {})

    def _people(self, place: str, key: str) -> dict[str, dict[str, Any]]:
        """Return the rows of a table of people or visits, by names in lower case."""
        if place not in self._tables:
            people, _ = read_people(self.root / place, key)
            self._tables[place] = {name.casefold(): tags for name, tags in people.items()}
        return self._tables[place]

    def _holding(self, image: Path) -> list[Path]:
        """Return the sidecars that hold for an image, the nearest last."""
        image, stem = whole_path(image), image.name.partition(".nii")[0]
        *entities, suffix = stem.split("_")
        above = [folder for folder in image.parents if self.root in folder.parents]
        found = []
        for folder in (self.root, *reversed(above)):
            near = self._in(folder)
            parts = {path: path.name.removesuffix(".json").split("_") for path in near}
            fitting = [
                path
                for path, (*own_entities, last) in parts.items()
                if last == suffix and set(own_entities) <= set(entities)
            ]
            found += sorted(fitting, key=lambda path: (path.name.count("_"), path.name))
        own = image.with_name(f"{stem}.json")
        return [*(path for path in found if path != own), own]

    def _in(self, folder: Path) -> list[Path]:
        """Return the JSON files of a folder."""
        if folder not in self._listed:
            self._listed[folder] = [path for path in folder.glob("[!.]*.json") if path.is_file()]
        return self._listed[folder]


def data_set_of(folder: Path) -> Path:
    """Return the BIDS data set that a folder belongs to: the folder itself if none is described."""
    whole = whole_path(folder)
    parents = (whole, *whole.parents)
    return next((path for path in parents if (path / DESCRIPTION).is_file()), whole)


def whole_path(path: Path) -> Path:
    """Return an absolute path without "..", with its links: they decide which sidecars hold."""
    return Path(os.path.normpath(path.absolute()))


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read a sidecar; one that is missing or cannot be read says nothing."""
    if not path.is_file():  # opening a pipe would wait for ever
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
