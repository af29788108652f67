"""Dispatch: where shards run. Inline, local processes and SLURM behind one protocol (`base`).

A dispatcher starts shards in an order that respects dependencies and says what became of them. What is finished is
decided by the store alone.
"""

from __future__ import annotations
