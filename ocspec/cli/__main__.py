"""`python -m ocspec.cli`: the same as the console script `ocspec`. Holds no code of its own."""

from __future__ import annotations

import sys

from ocspec.cli import main

if __name__ == "__main__":
    sys.exit(main())
