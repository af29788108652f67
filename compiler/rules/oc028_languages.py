"""OC028: languages are called as Linguist calls them, and those that are asked for are let in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.languages import LANGUAGES
from compiler.rules.base import Rule
from compiler.rules.common import root_of
from ocspec.base import Spec
from ocspec.evaluation import BitsPerByte
from ocspec.refinement import Admit, Downsample, Filter
from ocspec.sources import FunctionPairs


def find(draft: Draft) -> Iterator[UserError]:
    """Names that no language has, and languages that a later step asks for and Admit leaves out."""
    for dataset in draft.experiment.data:
        admitted = _admitted(draft, dataset.name)
        for step in dataset.steps:
            if isinstance(step, Admit):
                yield from _check(draft, step, step.languages, frozenset())
            elif isinstance(step, Downsample):
                yield from _check(draft, step, step.caps, admitted)
            for rule in step.rules if isinstance(step, Filter) else ():
                yield from _check(draft, rule, rule.languages, admitted)
    for source in draft.experiment.instructions:
        if isinstance(source, FunctionPairs):
            yield from _check(draft, source, source.languages, _admitted(draft, source.dataset))
    for evaluation in draft.experiment.evaluations:
        if isinstance(evaluation, BitsPerByte):
            yield from _check(draft, evaluation, evaluation.languages, frozenset())


def _check(draft: Draft, spec: Spec, names: Iterable[str], admitted: frozenset[str]) -> Iterator[UserError]:
    for name in names:
        if name not in LANGUAGES:
            close = difflib.get_close_matches(name.lower(), LANGUAGES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "names are Linguist's in lower case, but cpp and csharp"
            yield draft.error(spec, f"no language is called {name!r}", hint)
        elif admitted and name not in admitted:
            yield draft.error(
                spec,
                f"{name!r} is asked for, and Admit lets in {', '.join(sorted(admitted))} only",
                f"add {name!r} to Admit(languages=...), or take it out here",
            )


def _admitted(draft: Draft, name: str) -> frozenset[str]:
    """The languages that a data set, or the one at its root, lets in; empty: all of them."""
    root = root_of(draft, name)
    return frozenset(
        language for step in (root.steps if root else ()) if isinstance(step, Admit) for language in step.languages
    )


RULE = Rule(
    "OC028",
    "languages",
    "A language that is mistyped is dropped, down to its last file, and the run succeeds.",
    find,
    teach="""\
`Admit(languages=...)` keeps what it names. A name that no file has, `c++` for `cpp` or `typscript`, matches nothing,
and a corpus without one of its languages looks like any other corpus. OpenCoder's published filter has both kinds of
this slip (`opc_data_filtering`, language maps): two excluded names are capitalised and never match, and its extension
map tells `.TS` from `.ts`. A cap, a rule or instruction pairs for a language that is not let in are the same slip
from the other side: they never apply.
""",
)
