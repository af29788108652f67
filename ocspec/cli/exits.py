"""Exit codes, as scripts see them. Few on purpose: details are in `--json`, not in the code."""

from __future__ import annotations

OK = 0
ERROR = 1
DIFFERS = 2
CHECK = 3
OVER_BUDGET = 4
LOCKED = 5
USAGE = 64
INTERNAL = 70
INTERRUPTED = 130
BROKEN_PIPE = 141
