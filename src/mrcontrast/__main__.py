"""``python -m mrcontrast``: the same as the command ``mrcontrast``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the current folder first: files that lie there by chance are no modules of ours.
    if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd():
        del sys.path[0]
    from mrcontrast.cli import main

    sys.exit(main())
