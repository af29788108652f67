"""The history of a document as text: for each data set its steps, then the rules that judge it. Rendering only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ocspec.cli.excerpts import numbers, printable
from ocspec.cli.output import plural, print_table

if TYPE_CHECKING:
    from runtime.lineage.facts import History, RuleVerdict, StepHistory
    from runtime.lineage.trail import Use

MOST_OWNERS = 3


def print_histories(doc_id: str, histories: Sequence[History]) -> None:
    """The document in every data set; steps that several data sets share are printed once."""
    print(printable(doc_id))
    told: set[str] = set()
    for history in histories:
        print(f"\n{history.dataset}: {outcome(history)}")
        own = [step for step in history.steps if step.task not in told]
        if len(own) < len(history.steps):
            shared = {step.task.partition("/")[0] for step in history.steps if step.task in told}
            print(f"  first as {', '.join(sorted(shared))}, then")
        else:
            print(f"  {', '.join(about(history))}" if history.size is not None else "  never admitted")
        rows = [(step.step, step.state, "; ".join(details(step, history))) for step in own]
        print_table(("", "", ""), [*rows, *(("read by", "", line) for line in used(history))], indent=2)
        for step in own:
            if step.rules:
                print(f"\nrules that judge it in {step.task}")
                print_table(("rule", ">value", "", "drops if"), map(rule_row, step.rules), indent=2)
        told |= {step.task for step in own}


def outcome(history: History) -> str:
    """How it ended, in words."""
    last = history.steps[-1]
    dropped = history.dropped_by
    if dropped:
        return f"dropped by {dropped.step}" + (f", {dropped.drop.rule}" if dropped.drop else "")
    if last.state == "not built":
        return f"{last.task} is not built; run `ocspec submit`"
    return "kept, and held out from training" if history.held_out else "kept"


def about(history: History) -> Iterator[str]:
    """What kind of document it is."""
    if history.language:
        yield f"{history.language} ({history.doc_type})"
    if history.size is not None:
        yield f"{history.size:,} bytes"
    if history.repo:
        yield f"repository {printable(history.repo)}"
    if history.source:
        yield f"source {history.source}"
    if history.position is not None:
        yield f"position {history.position}"


def details(step: StepHistory, history: History) -> Iterator[str]:
    """What there is to say of a step beside kept or dropped."""
    if step.drop:
        said = numbers(step.drop.value, step.drop.threshold)
        yield step.drop.rule + (f" ({said})" if said else "")
        if step.drop.kept:
            yield f"kept instead: {printable(step.drop.kept)}"
    if step.similarity is not None:
        yield f"Jaccard index {step.similarity:.4f}"
    if step.stands_for:
        yield _cluster(step)
    if step.chunks:
        yield _chunks(step)
    if step.redactions:
        yield "redacted: " + ", ".join(f"{kind} {count}" for kind, count in sorted(step.redactions.items()))
    if step.rules and not step.drop:
        yield f"{plural(len(step.rules), 'rule')} judged it, none dropped it"
    for hit in step.hits:
        yield f"{hit['benchmark']} {hit['item']}, {hit['kind']} {printable(str(hit['matched']))!r}"
    if history.held_out and step.op == "data.sign" and step.state == "kept":
        yield "held out"
    if step.mismatch:
        yield f"DIFFERS: {step.mismatch}"


def _cluster(step: StepHistory) -> str:
    """How many were dropped in favour of one."""
    if step.granularity == "repository":
        whose = "its" if step.drop is None else "that"
        return f"{plural(step.stands_for, 'file')} dropped in favour of {whose} repository"
    for_whom = "it" if step.drop is None else "that one"
    return f"{step.stands_for:,} dropped in favour of {for_whom}, a cluster of {step.stands_for + 1:,}"


def _chunks(step: StepHistory) -> str:
    """The chunks that were dropped, as many as are easily read; `--json` has all."""
    rules = Counter(drop.rule for drop in step.chunks.values())
    owners = Counter((drop.kept or "").rpartition("#")[0] for drop in step.chunks.values())
    kept = ", ".join(printable(name) for name, _ in owners.most_common(MOST_OWNERS))
    more = f" and {len(owners) - MOST_OWNERS} more" if len(owners) > MOST_OWNERS else ""
    dropped = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items()))
    return f"{plural(len(step.chunks), 'chunk')} dropped ({dropped}), kept instead in {kept}{more}"


def used(history: History) -> Iterator[str]:
    """Who reads the document in the end."""
    if not history.uses:
        return
    if history.held_out:
        yield "held out: it measures, no stage trains on it"
        return
    yield ", ".join(map(_use, history.uses))


def _use(use: Use) -> str:
    """One reader.

    >>> from runtime.lineage.trail import Use
    >>> _use(Use(what="tokens", task="a/mix", stage="a", share=0.8)), _use(Use(what="pairs", task="b/mix", stage="b"))
    ('a (80 % of its tokens)', 'b (pairs)')
    """
    if use.what == "tokenizer":
        return "the tokenizer's sample"
    return f"{use.stage} ({use.what if use.share is None else f'{use.share * 100:.3g} % of its tokens'})"


def rule_row(rule: RuleVerdict) -> tuple[str, str, str, str]:
    """A rule's line of the table."""
    verdict = "dropped it" if rule.first else "would drop it" if rule.drops else "spared it" if rule.spared else ""
    from runtime.lineage.facts import plain

    shown = ["none" if value is None else plain(value) for value in rule.values.values()]
    if len(shown) == 1:
        return rule.rule, shown[0], verdict, rule.condition
    named = ", ".join(f"{name} = {value}" for name, value in zip(rule.values, shown, strict=True))
    return rule.rule, "", verdict, f"{rule.condition}  [{named}]"
