"""ocspec explain: what is known of one task: what it does, reads and needs, its SQL and its identity."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ocspec.cli import arguments, exits, explain_rule, overrides
from ocspec.cli.amounts import estimate_rows
from ocspec.cli.output import duration, plural, print_json, print_table, short_path

if TYPE_CHECKING:
    from compiler.plan import Task
    from runtime.reasons import Outlook
    from runtime.task import Artifact

INDENT = "  "
LABEL = 27
"""Columns of the names in a list of what a task takes."""


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `explain`."""
    parser = arguments.add_verb(
        subparsers,
        "explain",
        run,
        "show what a task is, why it has to run and what it takes; or teach a rule",
        "Its operator, inputs, SQL and pre-image; every change behind what becomes of it;\nan estimate.",
        "The pre-image is what the fingerprint is the hash of. Once a task is built, it\n"
        "names its inputs by the digests of their content.",
    )
    parser.add_argument("task", metavar="TASK", help="id of a task, as `ocspec status` shows it, or a rule, as OC014")
    arguments.add_plan(parser)
    arguments.add_store(parser)
    arguments.add_profile(parser)
    arguments.add_calibration(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Print one task."""
    if explain_rule.is_code(args.task):
        return explain_rule.run(args)
    from compiler.plan import CONVERTER
    from ocspec.cli.forecast import forecast_for

    plan, _ = arguments.plan_at(args.plan)
    task = arguments.task_called(plan, args.task)
    found = forecast_for(plan, args)
    one, estimate = found.of(task.id), found.estimates[task.id]
    built = one.artifact
    if args.json:
        from ocspec.cli.plan import outlook_facts

        manifest = dict(built.manifest) if built else None
        facts = {"task": CONVERTER.unstructure(task), "preimage": plan.preimage(task), "manifest": manifest}
        facts["outlook"] = outlook_facts(one, estimate)
        facts["delta"] = overrides.delta_facts(plan.delta)
        print_json("explain", experiment=plan.experiment, **facts)
        return exits.OK
    print(f"{task.id}: {task.op.op_id} version {task.op.op_version}")
    for line in overrides.delta_lines(overrides.near(plan.delta, task.spec_paths)):
        print(f"{INDENT}{line}")
    print()
    print_table(("", ""), [*_about(task), *(_built(built) if built else [("built", "no")])])
    _section("plan", plan_lines(one))
    _section("takes, where it is run", [f"{name:<{LABEL}}  {text}" for name, text in estimate_rows(estimate)])
    fields = {k: v for k, v in CONVERTER.unstructure(task)["op"].items() if k not in {"op", "version"}}
    _section("operator", value_lines(fields))
    for name, sql in task.sql.items():
        _section(f"sql {name}", sql.splitlines())
    if built:
        _section("pre-image, as built: inputs by digest", tree_lines(built.manifest["preimage"]))
    else:
        _section("pre-image, as planned: inputs by fingerprint", tree_lines(plan.preimage(task)))
    return exits.OK


def plan_lines(one: Outlook) -> Iterator[str]:
    """What becomes of it, and every change behind that where there are several, the earliest first."""
    from ocspec.cli.because import because, change_text

    text = because(one)
    yield f"{one.action}: {text}" if text else one.action
    changes = [f"{cause.task}: {change_text(change)}" for cause in one.reason.causes for change in cause.changes]
    if len(changes) > 1:
        yield from (f"{INDENT}{change}" for change in changes)


def _about(task: Task) -> list[tuple[str, str]]:
    asked = task.resources
    needs = [plural(task.shards, "shard"), f"each {plural(asked.cpus, 'CPU')}", f"{asked.memory_mb:,} MB"]
    needs += [plural(asked.gpus, "GPU")] if asked.gpus else []
    if asked.disk_mb != 0:
        needs.append(
            "unknown temporary disk" if asked.disk_mb is None else f"up to {asked.disk_mb:,} MB temporary disk"
        )
    rows = [("from", task.origin), ("", ", ".join(task.spec_paths))]
    rows += _listed("reads", [f"{item.task} as {item.role}" for item in task.inputs])
    rows += _listed("writes", [f"{name} ({kind})" for name, kind in task.op.outputs.items()])
    rows += [("needs", ", ".join(needs)), ("class", asked.task_class), ("fingerprint", task.fingerprint)]
    return [row for row in rows if row[1]]


def _listed(name: str, values: Sequence[str]) -> list[tuple[str, str]]:
    return [("" if i else name, value) for i, value in enumerate(values)]


def _built(built: Artifact) -> list[tuple[str, str]]:
    seconds = sum(timing["seconds"] for timing in built.manifest["shards"])
    counted = json.dumps(built.manifest["stats"]).replace('"', "")
    return [
        ("built", f"{short_path(str(built.path))} in {duration(seconds)}"),
        ("digest", built.manifest["digest"]),
        ("counted", counted if built.manifest["stats"] else "nothing"),
    ]


def _section(title: str, lines: Iterable[str]) -> None:
    print(f"\n{title}")
    for line in lines:
        print(f"{INDENT}{line}".rstrip())


def value_lines(value: Any, name: str = "") -> Iterator[str]:
    """Plain data as indented `name: value` lines.

    >>> list(value_lines({"exact": True, "key": {"bands": 16}, "seeds": [1, 2]}))
    ['exact: true', 'key', '  bands: 16', 'seeds: [1, 2]']
    """
    nested = isinstance(value, dict | list) and any(isinstance(part, dict | list) for part in _parts(value))
    if isinstance(value, dict) or nested:
        if name:
            yield name
        pairs = value.items() if isinstance(value, dict) else ((f"[{i}]", part) for i, part in enumerate(value))
        for key, part in pairs:
            for line in value_lines(part, key):
                yield f"{INDENT}{line}" if name else line
    else:
        yield f"{name}: {json.dumps(value, ensure_ascii=False)}"


def _parts(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def tree_lines(tree: Any, name: str = "") -> Iterator[str]:
    """A pre-image (see `compiler.canonical`) as indented lines that show every tag and value.

    >>> list(tree_lines(["op", "data.edges/1", {"exact": ["bool", "true"]}]))
    ['op data.edges/1', '  exact: bool true']
    >>> list(tree_lines(["map", [[["str", "kept"], ["seq", [["str", "9c1f"]]]]]], "inputs"))
    ['inputs: map', '  kept: seq', '    str 9c1f']
    """
    label = f"{name}: " if name else ""
    tag, *payload = tree
    if tag == "task":
        parts = [("operator", payload[0]), ("inputs", payload[1])]
    elif tag in {"op", "part"}:
        tag, parts = f"{tag} {payload[0]}", list(payload[1].items())
    elif tag == "map":
        parts = [(" ".join(key), value) for key, value in payload[0]]
    elif tag in {"seq", "set"}:
        parts = [("", value) for value in payload[0]]
    else:
        tag, parts = f"{tag} {payload[0]}".rstrip(), []
    yield f"{label}{tag}"
    for part_name, part in parts:
        for line in tree_lines(part, part_name.removeprefix("str ")):
            yield f"{INDENT}{line}"
