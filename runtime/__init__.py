"""The runtime: a plan goes in, artefacts come out. It reads plans and never a spec.

`worker` runs one shard of one task, `store` keeps what it made, `dispatch` decides where it runs, `run` drives a
whole plan. The operators' code is in `data`, `training` and `evaluation`.
"""

from __future__ import annotations
