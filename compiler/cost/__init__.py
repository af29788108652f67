"""What a plan costs, before it runs: operation counts from the shapes alone. Measures nothing."""

from __future__ import annotations
