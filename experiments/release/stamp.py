"""Write the hash of each released model's config.yaml into its provenance.json.

    python experiments/release/stamp.py

Run it after an intended change of a config; nothing else is changed.
"""

from pathlib import Path

from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.released import CONFIG, MODELS


def stamp(models: Path = MODELS) -> list[Path]:
    """Stamp all runs of a folder of models and return the paths of those that changed."""
    changed = []
    for path in sorted(models.glob(f"*/*/{CONFIG}")):
        folder = RunFolder(path.parent)
        before = folder.provenance
        folder.write_provenance(before)
        if folder.provenance != before:
            changed.append(folder.provenance_path)
    return changed


if __name__ == "__main__":
    for path in stamp():
        print(path)
