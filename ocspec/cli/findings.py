"""What `doctor` says of one thing that it looked at. Looking is done in `doctor`, `cluster_check` and `probe_jobs`."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One thing looked at. `ok` works, `absent` limits what can be done, `missing` has to be put right."""

    what: str
    verdict: Literal["ok", "absent", "missing"]
    found: str
    fix: str = ""
