"""What does a model of 2 mm make of held-out subjects that were prepared at 1 mm?"""

import argparse
from pathlib import Path

from mrcontrast.commands.translate import translate_originals
from mrcontrast.data.manifest import Manifest
from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.originals import Original
from mrcontrast.inference.sampling_options import Draws


def main() -> None:
    """Translate the prepared volumes as if they were raw: to the model's spacing and back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="phantom-2d")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--study", type=Path, default=Path("outputs/study/release_2d_1mm"))
    parser.add_argument("--out", type=Path, required=True, help="folder of the predictions")
    args = parser.parse_args()
    records = Manifest.read(args.study / "data").split("test")
    subjects = [Original(r.name, r.flair, r.t1w, r.brain_mask) for r in records]
    translator = from_run(args.model, Draws(temperature=args.temperature))
    translate_originals(subjects, translator, args.out)


if __name__ == "__main__":
    main()
