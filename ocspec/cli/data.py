"""ocspec data: look at the documents of a data set. `data show` samples what its rules dropped and kept."""

from __future__ import annotations

from argparse import Namespace

from ocspec.cli import arguments, exits
from ocspec.cli.output import print_json, say

DOCUMENTS = 5


def add_parser(subparsers: arguments.Subparsers) -> None:
    """The verbs below `data`."""
    nested = arguments.add_group(subparsers, "data", "look at the documents of a data set")
    parser = arguments.add_verb(
        nested,
        "show",
        run,
        "show documents that rules dropped beside documents that they kept",
        "For every rule that dropped something: the heads of some documents, with value\n"
        "and threshold; of duplicates, the document kept instead. What is shown is redacted.",
    )
    parser.add_argument("dataset", metavar="DATASET", help="name of the data set")
    arguments.add_plan(parser)
    parser.add_argument("--rule", metavar="RULE", help="only this rule")
    parser.add_argument("--language", metavar="LANGUAGE", help="only documents of this language")
    parser.add_argument(
        "-n",
        dest="number",
        metavar="N",
        type=arguments.positive,
        default=DOCUMENTS,
        help=f"documents on each side of a rule ({DOCUMENTS})",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="chooses the sample (0)")
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Show the samples."""
    from ocspec.cli.excerpts import facts, print_pairs
    from ocspec.cli.why import look
    from runtime.lineage.recorded import Records
    from runtime.lineage.samples import samples
    from runtime.lineage.trail import trail_called

    built, base = look(args)
    records = Records(built=built, trail=trail_called(built.plan, args.dataset))
    found = samples(records, base, args.rule, args.language, args.number, args.seed)
    if args.json:
        import attrs

        rules = [
            {
                **attrs.asdict(one),
                "dropped": [facts(example) for example in one.dropped],
                "kept": [facts(example) for example in one.kept],
            }
            for one in found
        ]
        print_json("data-show", experiment=built.plan.experiment, dataset=args.dataset, rules=rules)
        return exits.OK
    for one in found:
        condition = f"drops if {one.condition}, " if one.condition else ""
        print(f"{one.rule} in {one.task}: {condition}dropped {one.count:,} of {one.seen:,}\n")
        print_pairs(("dropped", "kept"), one.dropped, one.kept)
    if not found:
        say(f"no rule of {args.dataset} dropped anything; --rule shows what a rule let through")
    return exits.OK
