"""Write docs/reference/torture.md: how many mutations fingerprints are put to, and how many of them went wrong.

    python scripts/make_torture_reference.py

Everything is made anew from the operators and the language. What peers do is measured by benchmarks/torture, and its
table is copied from there.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "reference" / "torture.md"
PEERS = ROOT / "benchmarks" / "torture" / "peers.md"
sys.path.insert(0, str(ROOT))

from tests.property.hosts import IDLE, files  # noqa: E402 - the tests are importable only now
from tests.property.torture import RECORDS, Verdict, everything  # noqa: E402

HEAD = """\
# Fingerprints under torture

Written by `scripts/make_torture_reference.py`; do not edit. What a fingerprint is: [identity](../essays/identity.md).

Each operator, and an experiment around each kind of object, is put to two sorts of mutations, generated from the types
of its fields (`tests/property`). *Preserving* ones mean the same: the spec written in another way (comments, order,
names of locals, helpers, numbers spelt otherwise, defaults written out), copies by pickle and JSON, execution and doc
fields, orders that mean nothing, names kept by `aka`, classes that a later version might have (fields more, renamed,
reordered, moved). *Changing* ones mean something else: every semantic field at other values down to the next float, two
fields swapped, other types of equal values, another class with equal fields, roles and inputs swapped, another version.
A preserving one that moves a fingerprint is a needless rebuild, a changing one that does not is a false reuse.

Of objects it is judged which tasks moved: `tests/property/landings.txt` says by hand, from what operators read, where
each field lands. A task there that is not another one in its own right is a false reuse, even if one before it moved:
what that one writes may come out as it was, and then the task is cut off. Any other task that is another in its own
right, or moved without coming after those, went astray.
"""


def write(base: Path) -> tuple[str, list[Verdict]]:
    """The text and what it counts; `base` is a directory with the files of the hosts."""
    operators, kinds = everything(base)
    text = [
        HEAD,
        "## Sum\n",
        *_table([_sum("operators", operators), _sum("objects of the language", kinds)], tasks=True),
    ]
    text += ["\n## Beside others\n", PEERS.read_text().strip()] if PEERS.exists() else []
    text += ["\n## Operators\n", *_table(operators), "\n## Objects of the language\n", *_table(kinds, tasks=True)]
    text += [
        "\n## What may change and means nothing\n",
        "Fields that are semantic and yet change no task in the experiments above, each with its reason; their other",
        "values are among the preserving mutations.\n",
        "| field | reason |",
        "|---|---|",
        *(f"| {field} | {reason} |" for field, reason in {**IDLE, **RECORDS}.items()),
    ]
    return "\n".join(text) + "\n", [*operators, *kinds]


def _sum(name: str, verdicts: Iterable[Verdict]) -> Verdict:
    verdicts = list(verdicts)
    return Verdict(
        f"{len(verdicts)} {name}",
        sum(v.preserving for v in verdicts),
        sum(v.changing for v in verdicts),
        tuple(what for v in verdicts for what in v.needless),
        tuple(what for v in verdicts for what in v.false),
        tuple(what for v in verdicts for what in v.astray),
    )


def _table(verdicts: Iterable[Verdict], *, tasks: bool = False) -> list[str]:
    """With `tasks`, those are counted, too, that went astray."""
    heads = ["", "preserving", "needless rebuilds", "changing", "false reuse", *(["astray"] if tasks else [])]
    counts = [(v.name, v.preserving, len(v.needless), v.changing, len(v.false), len(v.astray)) for v in verdicts]
    rows = [_row(*row[: len(heads)]) for row in counts]
    return [_row(*heads).replace("|  |", "| |"), "|" + "---|" * len(heads), *rows]


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as directory:
        files(Path(directory))
        FILE.write_text(write(Path(directory))[0])
