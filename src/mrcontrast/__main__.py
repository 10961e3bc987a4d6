"""``python -m mrcontrast``: the same as the command ``mrcontrast``."""

import sys

from mrcontrast.cli import main

if __name__ == "__main__":
    sys.exit(main())
