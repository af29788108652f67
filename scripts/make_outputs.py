"""Write docs/reference/outputs.md: what verbs print at 80 and at 120 columns. It runs them, and says nothing by itself.

python scripts/make_outputs.py

They look at a small experiment of tests/fixtures/outputs, whose data tasks are run for it, over modules that are made
here from digests: the same text everywhere. Estimates leave out what past runs took, and nothing printed tells a time,
a host or a path.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import attrs

from ocspec.cli import main as ocspec

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "outputs.md"
FIXTURES = ROOT / "tests" / "fixtures" / "outputs"
WIDTHS = (80, 120)
BUILT = {"fetch", "data", "group"}

HEAD = """\
# What verbs print

Written by `scripts/make_outputs.py` and kept true by a test; change the verbs, not this page.

A small experiment, `small.py:experiment`, and `small.py:changed`, which redacts less and anneals to another learning
rate: both are in `tests/fixtures/outputs/small.py`. Of the first, all data is in the store and nothing is trained yet.
`--no-calibration` leaves out of estimates what past runs in the store took.
"""

SECTIONS = (
    (
        "plan",
        "What would run, why and what it takes ([how to](../how-to/plan.md)).",
        "plan small.py:changed --no-calibration",
    ),
    (
        "plan, over budget",
        "It exits with 4.",
        "plan small.py:changed --no-calibration --budget tokens=30k --budget wall_h=1",
    ),
    (
        "diff",
        "What differs between two specs, and what that touches.",
        "diff small.py small.py:changed --no-calibration",
    ),
    (
        "explain",
        "One task of the changed plan.",
        "explain code/refine build/changed --no-calibration",
    ),
    (
        "explain, with SQL",
        "A task of the first, as an empty store sees it.",
        "explain code/deduplicate/edges build/small --store elsewhere --no-calibration",
    ),
    ("explain, of a rule", "What a rule is for.", "explain OC006"),
    ("check", "What the rules find ([rules](rules.md)).", "check small.py broken.py"),
)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page as Markdown."""
    with tempfile.TemporaryDirectory(prefix="outputs-") as directory, chdir(directory), mock.patch.dict(os.environ):
        for name in ("OCSPEC_STORE", "OCSPEC_TRACEBACK", "FORCE_COLOR"):
            os.environ.pop(name, None)
        prepare()
        sections = [section(*of) for of in SECTIONS]
    return "\n".join([HEAD, *sections])


def section(title: str, says: str, command: str) -> str:
    """A command and what it prints at each width, once where that is the same."""
    parts = [f"## {title}", "", says, "", "```bash", f"ocspec {command}", "```", ""]
    said: dict[int | str, str] = {width: output(command, width).rstrip("\n") for width in WIDTHS}
    if len(set(said.values())) == 1:
        said = {" and ".join(map(str, WIDTHS)): said[WIDTHS[0]]}
    for width, text in said.items():
        parts += [f"At {width} columns:", "", "```text", text, "```", ""]
    return "\n".join(parts)


def output(command: str, width: int) -> str:
    """What a command line prints on stdout and stderr on a terminal of some columns."""
    said = io.StringIO()
    columns = mock.patch.dict(os.environ, {"COLUMNS": str(width), "NO_COLOR": "1"})
    with columns, redirect_stdout(said), redirect_stderr(said):
        ocspec(shlex.split(command))
    return said.getvalue()


def prepare() -> None:
    """In the working directory: the specs, the corpus, the plans, and a store with the data of the first."""
    from compiler import plan as plans
    from runtime.dispatch.inline import InlineDispatcher
    from runtime.journal import Journal
    from runtime.run import run_plan
    from runtime.store import Store

    for file in FIXTURES.glob("*.py"):
        shutil.copy(file, file.name)
    write_corpus(Path("repositories"))
    for spec in ("small.py", "small.py:changed"):
        output(f"compile {spec}", WIDTHS[0])
    file, store = Path("build/small/plan.json").resolve(), Store(Path(".ocspec").resolve())
    plan = plans.load(file)
    data = attrs.evolve(plan, tasks=tuple(task for task in plan.tasks if task.resources.task_class in BUILT))
    summary = run_plan(
        data, store, InlineDispatcher(file, store.root), Journal(file.parent / "journal"), lambda _: None
    )
    assert summary.ran and not summary.errors, summary


def write_corpus(directory: Path) -> None:
    """Four repositories of six modules each."""
    for repository in ("alpha", "beta", "gamma", "delta"):
        (directory / repository).mkdir(parents=True)
        for number in range(6):
            (directory / repository / f"part_{number}.py").write_text(module(f"{repository} {number}", 12 + number))


def module(name: str, functions: int) -> str:
    """Python source of words that only this module has."""
    words = _words(name)
    parts = [f'"""Module {name}."""\n']
    for _ in range(functions):
        function, start, stop, found = (next(words) for _ in range(4))
        parts.append(
            f"def {function}({start}, {stop}):\n"
            f"    # ask {function}@{found}.org\n"
            f"    {found} = [{start} + i for i in range({stop})]\n"
            f"    return sum({found}) - {stop}\n"
        )
    return "\n\n".join(parts)


def _words(seed: str) -> Iterator[str]:
    number = 0
    while True:
        digest = hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()
        yield "".join("abcdefghijklmnop"[int(digit, 16)] for digit in digest[:6])
        number += 1


if __name__ == "__main__":
    main()
