"""Emitters: operators -> the text that runs. SQL for DuckDB, configs for training back ends, sbatch scripts.

Emitted text has no identity of its own: it may be rewritten freely as long as the results stay the same.
"""

from __future__ import annotations
