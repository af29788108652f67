"""ocspec why: what became of a document, what a rule removed, or whether what is recorded is what the code says.

It reads artefacts and sources and changes nothing; what there is to know is found by `runtime.lineage`.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ocspec.cli import arguments, exits
from ocspec.cli.output import plural, print_json, print_table, say, say_errors

if TYPE_CHECKING:
    from runtime.lineage.check import Checked
    from runtime.lineage.removed import Removed
    from runtime.report.built import Built

EXAMPLES = 5


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `why`."""
    parser = arguments.add_verb(
        subparsers,
        "why",
        run,
        "say what became of a document, or what a rule removed",
        "Reads the document again from its source, decides about it anew, and says\n"
        "loudly where that differs from what is recorded; the exit code is then 2.",
        "With --rule or --check there is no DOC: the first argument is PLAN.",
    )
    parser.add_argument(
        "doc", nargs="?", metavar="DOC", help="id of a document, or an ending or part of it that no other has"
    )
    arguments.add_plan(parser)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--rule", metavar="RULE", help="what this rule removed: numbers, languages, examples")
    asked.add_argument(
        "--check",
        metavar="N",
        type=arguments.positive,
        help="decide anew about N documents of each data set, kept and dropped ones, and compare",
    )
    parser.add_argument("--step", metavar="STEP", help="with --rule: only in this step or task")
    parser.add_argument(
        "--limit", metavar="N", type=arguments.positive, default=EXAMPLES, help=f"with --rule: examples ({EXAMPLES})"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="with --rule, --check: chooses the sample (0)")
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Answer one of the three questions."""
    if not (args.doc or args.rule or args.check):
        args.parser.error("name a document, or ask with --rule or --check")
    if (args.rule or args.check) and args.doc:
        if args.plan:
            args.parser.error("--rule and --check take no document")
        args.plan = args.doc
    built, base = look(args)
    if args.check:
        return _check(args, built, base)
    return _rule(args, built, base) if args.rule else _document(args, built, base)


def look(args: Namespace) -> tuple[Built, Path]:
    """The plan with its artefacts, and the directory that relative paths of its sources start at."""
    from ocspec.cli.submit import base_of
    from runtime.report.built import Built

    file = arguments.plan_at(args.plan)[1].resolve()
    return Built.look(file, arguments.store_at(args.store)), base_of(file)


def _document(args: Namespace, built: Built, base: Path) -> int:
    import attrs

    from ocspec.cli.histories import print_histories
    from runtime.lineage.find import find
    from runtime.lineage.history import histories

    doc_id = find(built, args.doc)
    found = histories(built, base, doc_id)
    mismatches = [f"{history.dataset}, {said}" for history in found for said in history.mismatches]
    if args.json:
        data = [attrs.asdict(history) for history in found]
        print_json("why", experiment=built.plan.experiment, doc_id=doc_id, datasets=data, mismatches=mismatches)
    else:
        print_histories(doc_id, found)
    say_errors(*dict.fromkeys(mismatches))
    return exits.DIFFERS if mismatches else exits.OK


def _rule(args: Namespace, built: Built, base: Path) -> int:
    from ocspec.cli.excerpts import facts
    from runtime.lineage.removed import removed

    found = removed(built, base, args.rule, args.step, args.limit, args.seed)
    if args.json:
        import attrs

        steps = [{**attrs.asdict(one), "examples": [facts(example) for example in one.examples]} for one in found]
        print_json("why-rule", experiment=built.plan.experiment, rule=args.rule, steps=steps)
    else:
        for one in found:
            _print_removed(one)
    return exits.OK


def _print_removed(one: Removed) -> None:
    from ocspec.cli.excerpts import print_examples

    share = f" ({one.count / one.seen:.2%})" if one.seen else ""
    print(f"{one.rule} in {one.task}: removed {one.count:,} of {one.seen:,}{share}\n")
    if one.languages:
        rows = [(name, f"{n:,}", f"{n / one.count:.1%}") for name, n in one.languages.items()]
        print_table(("language", ">removed", ">share"), rows)
        print()
    print_examples(one.examples)


def _check(args: Namespace, built: Built, base: Path) -> int:
    from runtime.lineage.check import check

    found = check(built, base, args.check, args.seed)
    mismatches = [mismatch for one in found for mismatch in one.mismatches]
    if args.json:
        import attrs

        print_json("why-check", experiment=built.plan.experiment, datasets=[attrs.asdict(one) for one in found])
    else:
        _print_checked(found)
    say_errors(*(f"{m.doc_id}: {m.task}: {m.said}" for m in mismatches))
    return exits.DIFFERS if mismatches else exits.OK


def _print_checked(found: Sequence[Checked]) -> None:
    rows = [
        (one.dataset if not number else "", task, f"{count:,}", f"{sum(m.task == task for m in one.mismatches):,}")
        for one in found
        for number, (task, count) in enumerate(one.decisions.items())
    ]
    print_table(("data set", "decided anew", ">documents", ">differ"), rows)
    for one in found:
        parts = ", ".join(f"{count:,} {state}" for state, count in one.documents.items())
        say(f"{one.dataset}: {plural(sum(one.documents.values()), 'document')} ({parts})")
