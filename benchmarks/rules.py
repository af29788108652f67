"""Processor time of every compile-time rule on the 8B spec: least and greatest of several runs, the first among them.

    python benchmarks/rules.py

There is no peer to stand beside it. A rule may take 50 ms; tests/compiler/rules holds each to that.
"""

from __future__ import annotations

import time
from pathlib import Path

from compiler.draft import Draft
from compiler.load import load_spec
from compiler.passes.resolve import resolve
from compiler.rules import RULES

SPEC = Path(__file__).parents[1] / "specs" / "opencoder_8b.py"
RUNS = 5
SHOWN = 10


def main() -> None:
    """Print the dearest rules and the sum."""
    experiment, base = load_spec(str(SPEC))
    draft = resolve(Draft(experiment=experiment, base=base.resolve(), shards=None))
    rows = []
    for rule in RULES:
        taken = []
        for _ in range(RUNS):
            start = time.process_time()
            list(rule.check(draft))
            taken.append(1e3 * (time.process_time() - start))
        rows.append((min(taken), max(taken), f"{rule.code} {rule.name}"))
    print(
        f"{len(rows)} rules: {sum(low for low, *_ in rows):.1f} ms,"
        f" the first time {sum(high for _, high, _ in rows):.1f} ms"
    )
    for low, high, name in sorted(rows, reverse=True)[:SHOWN]:
        print(f"  {name:28} {low:6.2f} to {high:6.2f} ms")


if __name__ == "__main__":
    main()
